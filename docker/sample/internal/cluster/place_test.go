package cluster

import (
	"fmt"
	"slices"
	"testing"
)

func members(addresses ...string) []Member {
	list := make([]Member, len(addresses))
	for i, address := range addresses {
		list[i] = Member{ID: address, Address: address, Ready: true}
	}
	return list
}

func TestOwnersAreEven(t *testing.T) {
	nodes := members("10.0.0.1:50051", "10.0.0.2:50051", "10.0.0.3:50051", "10.0.0.4:50051")
	for address, count := range Owners(DefaultShards, nodes) {
		if mean := DefaultShards / len(nodes); count < mean*9/10 || count > mean*11/10 {
			t.Errorf("%s owns %d shards, want within a tenth of %d", address, count, mean)
		}
	}
}

func TestOnlyALostNodesShardsMove(t *testing.T) {
	all := members("a:1", "b:1", "c:1")
	rest := members("a:1", "b:1")
	for shard := range DefaultShards {
		before := Rank(shard, all)
		after, _ := Owner(shard, rest)
		want := before[0].Address
		if want == "c:1" {
			want = before[1].Address
		}
		if after != want {
			t.Fatalf("shard %d went to %s, want %s", shard, after, want)
		}
	}
}

func TestRankIgnoresOrder(t *testing.T) {
	nodes := members("a:1", "b:1", "c:1")
	for shard := range 100 {
		want := Rank(shard, nodes)
		reversed := slices.Clone(nodes)
		slices.Reverse(reversed)
		if got := Rank(shard, reversed); !slices.Equal(got, want) {
			t.Fatalf("shard %d: %v, want %v", shard, got, want)
		}
		if owner, ok := Owner(shard, nodes); !ok || owner != want[0].Address {
			t.Fatalf("shard %d: Owner = %s, want %s", shard, owner, want[0].Address)
		}
	}
	if _, ok := Owner(0, nil); ok {
		t.Fatal("an empty cluster has an owner")
	}
}

func TestShardOfIsInRangeAndSpread(t *testing.T) {
	seen := make(map[int]bool)
	for i := range 1000 {
		shard := ShardOf(fmt.Sprintf("room-%d", i), 64)
		if shard < 0 || shard >= 64 {
			t.Fatalf("shard %d out of range", shard)
		}
		seen[shard] = true
	}
	if len(seen) != 64 {
		t.Errorf("1000 objects fell on %d of 64 shards", len(seen))
	}
}
