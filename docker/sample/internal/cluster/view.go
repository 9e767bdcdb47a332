package cluster

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// View is the cluster at one moment, sorted by address. It is never modified.
type View struct {
	Revision int64
	Nodes    []Member
	Gates    []Member
}

// Ready is the nodes that want traffic.
func (v View) Ready() []Member {
	ready := make([]Member, 0, len(v.Nodes))
	for _, node := range v.Nodes {
		if node.Ready {
			ready = append(ready, node)
		}
	}
	return ready
}

// HasNode says whether a node with this address is registered.
func (v View) HasNode(address string) bool { return has(v.Nodes, address) }

// HasGate says whether a gate with this address is registered.
func (v View) HasGate(address string) bool { return has(v.Gates, address) }

func has(members []Member, address string) bool {
	return slices.ContainsFunc(members, func(m Member) bool { return m.Address == address })
}

// table is the latest View and what is needed to make the next one.
type table struct {
	prefix string

	mu      sync.Mutex
	loaded  bool
	members map[Kind]map[string]Member
	view    View
	// settled is when a node last came or went. A node becoming ready does not
	// count, or the nodes would keep each other waiting.
	settled time.Time
	changed chan struct{}
}

func newTable(prefix string) *table {
	return &table{prefix: prefix, members: emptyMembers(), changed: make(chan struct{})}
}

func emptyMembers() map[Kind]map[string]Member {
	return map[Kind]map[string]Member{Nodes: {}, Gates: {}}
}

// change is one key put, or deleted if value is nil.
type change struct {
	key   string
	value []byte
}

// replace starts over from a full listing.
func (t *table) replace(revision int64, listing []change) {
	t.update(revision, true, listing)
}

// apply adds changes to what is known.
func (t *table) apply(revision int64, changes []change) {
	t.update(revision, false, changes)
}

func (t *table) update(revision int64, fresh bool, changes []change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.view.Nodes
	if fresh {
		t.members = emptyMembers()
	}
	for _, c := range changes {
		kind, address, ok := parseKey(t.prefix, c.key)
		if !ok {
			continue
		}
		var member Member
		// A value that cannot be read is a member that cannot be used.
		if c.value == nil || json.Unmarshal(c.value, &member) != nil {
			delete(t.members[kind], address)
			continue
		}
		member.Address = address
		t.members[kind][address] = member
	}
	t.view = View{Revision: revision, Nodes: sorted(t.members[Nodes]), Gates: sorted(t.members[Gates])}
	if !t.loaded || !sameAddresses(before, t.view.Nodes) {
		t.settled = time.Now()
	}
	t.loaded = true
	close(t.changed)
	t.changed = make(chan struct{})
}

func sorted(members map[string]Member) []Member {
	return slices.SortedFunc(maps.Values(members), func(a, b Member) int {
		return strings.Compare(a.Address, b.Address)
	})
}

func sameAddresses(a, b []Member) bool {
	return slices.EqualFunc(a, b, func(a, b Member) bool { return a.Address == b.Address })
}
