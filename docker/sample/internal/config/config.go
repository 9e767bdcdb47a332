// Package config turns a command line, or the id and the file it names, into
// the settings of one program. It reads no environment variables.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"example.com/goverse/sample/internal/cluster"
)

// DefaultStability is how long no node may have come or gone before a program
// first calls itself ready.
const DefaultStability = 2 * time.Second

// ErrUsage marks what the user has to put right.
var ErrUsage = errors.New("usage")

// Cluster is what every program must know to find the others.
type Cluster struct {
	Endpoints []string
	Prefix    string
	Shards    int
	Stability time.Duration
}

// Node is the settings of a node.
type Node struct {
	Cluster
	ID, Listen, Advertise, HTTPListen, Inspector string
}

// Gate is the settings of a gate.
type Gate struct {
	Cluster
	ID, Listen, Advertise, HTTPListen, OpsListen, Inspector string
}

// Inspector is the settings of the inspector.
type Inspector struct {
	Cluster
	GRPC, HTTP, StaticDir string
}

// options is a flag set on its way to becoming settings.
type options struct {
	*flag.FlagSet
	etcd, prefix, file string
}

func newOptions(program, etcdFlag string, stderr io.Writer) *options {
	o := &options{FlagSet: flag.NewFlagSet(program, flag.ContinueOnError)}
	o.SetOutput(stderr)
	o.StringVar(&o.etcd, etcdFlag, "localhost:2379", "`address` of etcd")
	o.StringVar(&o.prefix, "etcd-prefix", "/goverse", "etcd key `prefix` of the cluster")
	o.StringVar(&o.file, "config", "", "YAML `file` to use instead of all other flags but the id")
	return o
}

// parse fails on flags that contradict --config. keep names the flag, if any,
// that goes with it.
func (o *options) parse(args []string, keep string) error {
	if err := o.Parse(args); err != nil {
		return errors.Join(ErrUsage, err)
	}
	if o.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", ErrUsage, o.Arg(0))
	}
	if o.file == "" {
		return nil
	}
	var err error
	o.Visit(func(f *flag.Flag) {
		if f.Name != "config" && f.Name != keep {
			err = errors.Join(err, fmt.Errorf("%w: --%s cannot be used with --config", ErrUsage, f.Name))
		}
	})
	return err
}

func (o *options) cluster() Cluster {
	return Cluster{
		Endpoints: []string{o.etcd},
		Prefix:    o.prefix,
		Shards:    cluster.DefaultShards,
		Stability: DefaultStability,
	}
}

// ParseNode reads the command line of a node.
func ParseNode(args []string, stderr io.Writer) (Node, error) {
	var n Node
	o := newOptions("node", "etcd", stderr)
	o.StringVar(&n.ID, "node-id", "", "`name` of this node (default: its advertised address)")
	o.StringVar(&n.Listen, "listen", ":48000", "`address` to serve gates on")
	o.StringVar(&n.Advertise, "advertise", "localhost:48000", "`address` at which gates reach this node")
	o.StringVar(&n.HTTPListen, "http-listen", "", "`address` of health, metrics and profiles (default: none)")
	o.StringVar(&n.Inspector, "inspector-address", "", "`address` of the inspector to report to (default: none)")
	if err := o.parse(args, "node-id"); err != nil {
		return n, err
	}
	n.Cluster = o.cluster()
	if o.file != "" {
		f, err := load(o.file)
		if err != nil {
			return n, err
		}
		entry, err := find(f.Nodes, n.ID, "nodes", o.file)
		if err != nil {
			return n, err
		}
		n = Node{
			Cluster: f.settings(), ID: n.ID, Inspector: f.Inspector.AdvertiseAddr,
			Listen: entry.GRPCAddr, Advertise: entry.AdvertiseAddr, HTTPListen: entry.HTTPAddr,
		}
	}
	if n.ID == "" {
		n.ID = n.Advertise
	}
	return n, errors.Join(n.check(), checkAdvertise(n.Advertise))
}

// ParseGate reads the command line of a gate.
func ParseGate(args []string, stderr io.Writer) (Gate, error) {
	var g Gate
	o := newOptions("gate", "etcd", stderr)
	o.StringVar(&g.ID, "gate-id", "", "`name` of this gate (default: its advertised address)")
	o.StringVar(&g.Listen, "listen", ":49000", "`address` to serve gRPC clients on")
	o.StringVar(&g.Advertise, "advertise", "localhost:49000", "`address` at which others reach this gate")
	o.StringVar(&g.HTTPListen, "http-listen", "", "`address` to serve HTTP clients on (default: none)")
	o.StringVar(&g.OpsListen, "ops-listen", "", "`address` of health, metrics and profiles (default: none)")
	o.StringVar(&g.Inspector, "inspector-address", "", "`address` of the inspector to report to (default: none)")
	if err := o.parse(args, "gate-id"); err != nil {
		return g, err
	}
	g.Cluster = o.cluster()
	if o.file != "" {
		f, err := load(o.file)
		if err != nil {
			return g, err
		}
		entry, err := find(f.Gates, g.ID, "gates", o.file)
		if err != nil {
			return g, err
		}
		g = Gate{
			Cluster: f.settings(), ID: g.ID, Inspector: f.Inspector.AdvertiseAddr,
			Listen: entry.GRPCAddr, Advertise: entry.AdvertiseAddr, HTTPListen: entry.HTTPAddr, OpsListen: entry.OpsAddr,
		}
	}
	if g.ID == "" {
		g.ID = g.Advertise
	}
	return g, errors.Join(g.check(), checkAdvertise(g.Advertise))
}

// ParseInspector reads the command line of the inspector.
func ParseInspector(args []string, stderr io.Writer) (Inspector, error) {
	var i Inspector
	o := newOptions("inspector", "etcd-addr", stderr)
	o.StringVar(&i.GRPC, "grpc-addr", ":8081", "`address` to take reports on")
	o.StringVar(&i.HTTP, "http-addr", ":8080", "`address` to serve browsers on")
	o.StringVar(&i.StaticDir, "static-dir", "cmd/inspector/web", "`folder` of the web page")
	if err := o.parse(args, ""); err != nil {
		return i, err
	}
	i.Cluster = o.cluster()
	if o.file != "" {
		f, err := load(o.file)
		if err != nil {
			return i, err
		}
		i.Cluster = f.settings()
		i.GRPC = orDefault(f.Inspector.GRPCAddr, i.GRPC)
		i.HTTP = orDefault(f.Inspector.HTTPAddr, i.HTTP)
	}
	return i, i.check()
}

func (c Cluster) check() error {
	if len(c.Endpoints) == 0 || c.Endpoints[0] == "" {
		return fmt.Errorf("%w: no address of etcd", ErrUsage)
	}
	if c.Prefix == "" || c.Prefix[0] != '/' {
		return fmt.Errorf("%w: etcd prefix %q does not start with a slash", ErrUsage, c.Prefix)
	}
	if c.Shards < 1 || c.Stability < 0 {
		return fmt.Errorf("%w: shards must be positive and the stability duration not negative", ErrUsage)
	}
	return nil
}

// checkAdvertise refuses what others could not dial.
func checkAdvertise(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host == "" {
		err = errors.New("no host")
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%w: advertised address %q: %w", ErrUsage, address, err)
	}
	return nil
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
