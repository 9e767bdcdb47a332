package cluster

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// DefaultShards must be the same in every program of a cluster.
const DefaultShards = 8192

// ShardOf maps an object to a shard.
func ShardOf(objectID string, shards int) int {
	return int(mix(hash(objectID)) % uint64(shards))
}

// Rank orders nodes by their claim on a shard: rendezvous hashing, so that
// when a node comes or goes only the shards it wins or held move. The first is
// the owner, the next would be if the first went.
func Rank(shard int, nodes []Member) []Member {
	type claim struct {
		score uint64
		node  Member
	}
	claims := make([]claim, len(nodes))
	for i, node := range nodes {
		claims[i] = claim{score(shard, node.Address), node}
	}
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.node.Address, b.node.Address))
	})
	ranked := make([]Member, len(claims))
	for i, c := range claims {
		ranked[i] = c.node
	}
	return ranked
}

// Owners counts the shards of each node, by address.
func Owners(shards int, nodes []Member) map[string]int {
	counts := make(map[string]int, len(nodes))
	for _, node := range nodes {
		counts[node.Address] = 0
	}
	for shard := range shards {
		if address, ok := Owner(shard, nodes); ok {
			counts[address]++
		}
	}
	return counts
}

// Owner is the address of the first of Rank, found without sorting.
func Owner(shard int, nodes []Member) (string, bool) {
	var best string
	var bestScore uint64
	for i, node := range nodes {
		s := score(shard, node.Address)
		if i == 0 || s > bestScore || (s == bestScore && node.Address < best) {
			best, bestScore = node.Address, s
		}
	}
	return best, len(nodes) > 0
}

func score(shard int, address string) uint64 {
	return mix(hash(address) ^ mix(uint64(shard)))
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// mix spreads FNV's weak low bits over the word: it is SplitMix64's finaliser.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
