// Trivydb builds a vulnerability database for Trivy from the entries of golang.org/x/vulndb.
//
// It takes a checkout of that module and the folder to fill, and writes trivy.db and metadata.json by Trivy's own
// library: standard library and golang.org/x as Trivy's builds have them, all other modules as if GitHub had reviewed
// the same entry and called it severe. It fetches nothing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/vulndb"
)

// severity of the modules that Trivy knows from GitHub: entries of golang.org/x/vulndb have none.
const severity = "HIGH"

func main() {
	entries := flag.String("entries", "", "the folder data/osv of golang.org/x/vulndb")
	out := flag.String("out", "", "the folder that gets trivy.db and metadata.json")
	flag.Parse()
	if err := build(*entries, *out); err != nil {
		fmt.Fprintln(os.Stderr, "trivydb:", err)
		os.Exit(1)
	}
}

func build(entries, out string) error {
	if entries == "" || out == "" {
		return errors.New("-entries and -out are needed")
	}
	sources, err := os.MkdirTemp("", "trivydb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sources)
	if err := layOut(entries, sources); err != nil {
		return err
	}
	if err := db.Init(out); err != nil {
		return err
	}
	if err := vulndb.New(sources, out, 24*time.Hour).Build([]string{"govulndb", "ghsa"}); err != nil {
		return errors.Join(err, db.Close())
	}
	return db.Close()
}

// layOut shares the entries out between the two folders that the library reads: the Go vulnerability database's own,
// and GitHub's.
func layOut(entries, sources string) error {
	golang := filepath.Join(sources, "govulndb", "data", "osv")
	github := filepath.Join(sources, "ghsa", "advisories", "github-reviewed")
	// Empty, but the library looks for it.
	pods := filepath.Join(sources, "cocoapods-specs", "Specs")
	for _, folder := range []string{golang, github, pods} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(entries, "*.json"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no entries", entries)
	}
	for _, file := range files {
		if err := place(file, golang, github); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// place copies an entry to where the library takes it from: GitHub's have a severity.
func place(file, golang, github string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var entry map[string]any
	if err := json.Unmarshal(text, &entry); err != nil {
		return err
	}
	folder := golang
	if !isGolang(entry) {
		folder = github
		entry["database_specific"] = map[string]any{"severity": severity}
		if text, err = json.Marshal(entry); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o644)
}

// isGolang says whether an entry is about the standard library or golang.org/x.
func isGolang(entry map[string]any) bool {
	affected, _ := entry["affected"].([]any)
	for _, one := range affected {
		name := module(one)
		if strings.HasPrefix(name, "golang.org/x/") || !strings.Contains(name, ".") {
			return true
		}
	}
	return false
}

func module(affected any) string {
	fields, _ := affected.(map[string]any)
	pkg, _ := fields["package"].(map[string]any)
	name, _ := pkg["name"].(string)
	return name
}
