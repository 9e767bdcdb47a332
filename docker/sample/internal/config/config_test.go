package config

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const example = `
version: 1
cluster:
  shards: 64
  provider: etcd
  etcd:
    endpoints: ["etcd-0:2379", "etcd-1:2379"]
    prefix: /game
  cluster_state_stability_duration: 10s
postgres:
  host: db
inspector:
  http_addr: ":9080"
  advertise_addr: inspector:8081
nodes:
  - {id: n1, grpc_addr: ":50051", advertise_addr: "node-1:50051", http_addr: ":8080"}
gates:
  - {id: g1, grpc_addr: "gate-1:60051", http_addr: ":8080", ops_addr: ":9090"}
`

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "goverse.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	node, err := ParseNode(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if node.ID != "localhost:48000" || node.Listen != ":48000" || node.HTTPListen != "" ||
		node.Endpoints[0] != "localhost:2379" || node.Prefix != "/goverse" || node.Shards != 8192 ||
		node.Stability != DefaultStability {
		t.Errorf("node: %+v", node)
	}
	gate, err := ParseGate(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if gate.Listen != ":49000" || gate.Advertise != "localhost:49000" || gate.OpsListen != "" {
		t.Errorf("gate: %+v", gate)
	}
	inspector, err := ParseInspector([]string{"--etcd-addr=etcd:2379"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if inspector.GRPC != ":8081" || inspector.HTTP != ":8080" || inspector.StaticDir != "cmd/inspector/web" ||
		inspector.Endpoints[0] != "etcd:2379" {
		t.Errorf("inspector: %+v", inspector)
	}
}

func TestFile(t *testing.T) {
	path := write(t, example)
	node, err := ParseNode([]string{"--config", path, "--node-id=n1"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if node.Advertise != "node-1:50051" || node.HTTPListen != ":8080" || node.Inspector != "inspector:8081" ||
		len(node.Endpoints) != 2 || node.Prefix != "/game" || node.Shards != 64 || node.Stability != 10*time.Second {
		t.Errorf("node: %+v", node)
	}
	gate, err := ParseGate([]string{"--config", path, "--gate-id=g1"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if gate.Advertise != "gate-1:60051" || gate.OpsListen != ":9090" {
		t.Errorf("gate: %+v", gate)
	}
	inspector, err := ParseInspector([]string{"--config", path}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if inspector.HTTP != ":9080" || inspector.GRPC != ":8081" {
		t.Errorf("inspector: %+v", inspector)
	}
}

func TestRefusals(t *testing.T) {
	path := write(t, example)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"flag with config":  {[]string{"--config", path, "--node-id=n1", "--etcd=x:1"}, "--etcd cannot be used with --config"},
		"id not listed":     {[]string{"--config", path, "--node-id=n9"}, `no "n9" in nodes`},
		"no id with config": {[]string{"--config", path}, `no "" in nodes`},
		"missing file":      {[]string{"--config", path + "x", "--node-id=n1"}, "no such file"},
		"wrong version":     {[]string{"--config", write(t, "version: 2"), "--node-id=n1"}, "version is 2"},
		"unknown flag":      {[]string{"--nope"}, "not defined"},
		"stray argument":    {[]string{"serve"}, `unexpected argument "serve"`},
		"nothing to dial":   {[]string{"--advertise=:50051"}, "no host"},
		"bad port":          {[]string{"--advertise=node:http"}, "invalid syntax"},
		"relative prefix":   {[]string{"--etcd-prefix=goverse"}, "does not start with a slash"},
	} {
		_, err := ParseNode(test.args, io.Discard)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a usage error with %q", name, err, test.want)
		}
	}
}
