// Trivydb builds a vulnerability database for Trivy from the entries of golang.org/x/vulndb.
//
// It takes a checkout of that module and the folder to fill, and writes trivy.db and metadata.json by Trivy's own
// library: standard library and golang.org/x as Trivy's builds have them, all other modules as if GitHub had reviewed
// the same entry and called it severe. It fetches nothing. With -pad it is as large as the one that Trivy's publisher
// offers, which knows of more than Go.
package main

import (
	"crypto/sha256"
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
	"go.etcd.io/bbolt"
)

// severity of the modules that Trivy knows from GitHub: entries of golang.org/x/vulndb have none.
const severity = "HIGH"

func main() {
	entries := flag.String("entries", "", "the folder data/osv of golang.org/x/vulndb")
	out := flag.String("out", "", "the folder that gets trivy.db and metadata.json")
	mebibytes := flag.Int("pad", 0, "how many MiB of other entries to add")
	flag.Parse()
	err := build(*entries, *out)
	if err == nil {
		err = pad(filepath.Join(*out, "trivy.db"), *mebibytes<<20)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "trivydb:", err)
		os.Exit(1)
	}
}

// pad adds about size bytes to the database, which compress as its own do, in a bucket that nothing looks into.
func pad(path string, size int) error {
	const batch = 10_000
	database, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	for added, n := 0, 0; added < size; {
		err := database.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("padding"))
			if err != nil {
				return err
			}
			for end := n + batch; n < end; n++ {
				key := fmt.Appendf(nil, "CVE-%012d", n)
				value := fmt.Appendf(nil, entry, sha256.Sum256(key))
				added += len(key) + len(value)
				if err := bucket.Put(key, value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return errors.Join(err, database.Close())
		}
	}
	return errors.Join(database.Sync(), database.Close())
}

// entry is what an entry looks like, with something of its own.
const entry = `{"Title":"a flaw in a library","Description":"A flaw was found in a library that many programs use. ` +
	`Somebody who sends it what it does not expect can make it do what it should not.","Severity":"HIGH",` +
	`"CVSS":{"nvd":{"V3Vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H","V3Score":7.5}},` +
	`"References":["https://example.com/advisories/%x"],"PublishedDate":"2026-01-02T03:04:05Z"}`

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
