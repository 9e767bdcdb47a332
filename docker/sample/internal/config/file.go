package config

import (
	"fmt"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"example.com/goverse/sample/internal/cluster"
)

// file has the fields of Goverse's configuration that this module uses. Others,
// such as postgres, are allowed and ignored.
type file struct {
	Version int `yaml:"version"`
	Cluster struct {
		Shards   int    `yaml:"shards"`
		Provider string `yaml:"provider"`
		Etcd     struct {
			Endpoints []string `yaml:"endpoints"`
			Prefix    string   `yaml:"prefix"`
		} `yaml:"etcd"`
		Stability *time.Duration `yaml:"cluster_state_stability_duration"`
	} `yaml:"cluster"`
	Inspector struct {
		GRPCAddr      string `yaml:"grpc_addr"`
		HTTPAddr      string `yaml:"http_addr"`
		AdvertiseAddr string `yaml:"advertise_addr"`
	} `yaml:"inspector"`
	Nodes []entry `yaml:"nodes"`
	Gates []entry `yaml:"gates"`
}

type entry struct {
	ID            string `yaml:"id"`
	GRPCAddr      string `yaml:"grpc_addr"`
	AdvertiseAddr string `yaml:"advertise_addr"`
	HTTPAddr      string `yaml:"http_addr"`
	OpsAddr       string `yaml:"ops_addr"` // gates only
}

func load(path string) (*file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	var f file
	if err := yaml.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUsage, path, err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("%w: %s: version is %d, want 1", ErrUsage, path, f.Version)
	}
	if p := f.Cluster.Provider; p != "" && p != "etcd" {
		return nil, fmt.Errorf("%w: %s: provider is %q, want etcd", ErrUsage, path, p)
	}
	return &f, nil
}

func (f *file) settings() Cluster {
	c := Cluster{
		Endpoints: f.Cluster.Etcd.Endpoints,
		Prefix:    orDefault(f.Cluster.Etcd.Prefix, "/goverse"),
		Shards:    f.Cluster.Shards,
		Stability: DefaultStability,
	}
	if c.Shards == 0 {
		c.Shards = cluster.DefaultShards
	}
	if f.Cluster.Stability != nil {
		c.Stability = *f.Cluster.Stability
	}
	return c
}

func find(entries []entry, id, list, path string) (entry, error) {
	for _, e := range entries {
		if e.ID == id && id != "" {
			if e.GRPCAddr == "" {
				return entry{}, fmt.Errorf("%w: %s: %q in %s has no grpc_addr", ErrUsage, path, id, list)
			}
			e.AdvertiseAddr = orDefault(e.AdvertiseAddr, e.GRPCAddr)
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("%w: %s: no %q in %s", ErrUsage, path, id, list)
}
