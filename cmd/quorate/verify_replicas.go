package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/quorate/quorate/lane"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// verifiedGroup is how the replicas of a group compare.
type verifiedGroup struct {
	Group    string            `json:"group"`
	Index    uint64            `json:"index"` // the log entry at which they were compared
	Replicas []verifiedReplica `json:"replicas"`
}

// verifiedReplica is one of them.
type verifiedReplica struct {
	Node   uint64      `json:"node"`
	Result string      `json:"result"` // same, differs, behind, missing
	Index  uint64      `json:"index"`
	Hash   string      `json:"hash,omitempty"`
	Detail string      `json:"detail,omitempty"`
	Scan   *storedScan `json:"scan,omitempty"`

	from  *backupNode
	hash  uint64
	asked bool  // the last answer is one
	lack  error // why it couldn't be compared; Detail has its text
}

// storedScan is what its disk holds.
type storedScan struct {
	Index    uint64 `json:"index"`
	Records  uint64 `json:"records"`
	Recorded string `json:"recorded_hash"`
	Computed string `json:"computed_hash"`
	Fault    string `json:"fault,omitempty"`
}

func (s *storedScan) sound() bool { return s.Fault == "" && s.Recorded == s.Computed }

func hashText(hash uint64) string { return fmt.Sprintf("%016x", hash) }

// groupsOf lists all groups, each with every node that should have a replica, or says it has one.
func groupsOf(nodes backupNodes, views []*quoratev1.Status) []*verifiedGroup {
	type seen struct {
		term uint64
		at   map[uint64]bool
	}
	groups, byID := map[string]*seen{}, map[uint64]*backupNode{}
	for i, view := range views {
		if view == nil {
			continue
		}
		byID[view.GetNode()] = nodes[i]
		for _, g := range view.GetGroups() {
			known := groups[g.GetGroup()]
			if known == nil {
				known = &seen{at: map[uint64]bool{}}
				groups[g.GetGroup()] = known
			}
			known.at[view.GetNode()] = true
			if g.GetTerm() >= known.term {
				known.term = g.GetTerm()
				for _, m := range g.GetMembers() {
					known.at[m] = true
				}
			}
		}
		for _, b := range view.GetBanks() { // also of one that nobody who answers has a replica of
			name := string(lane.BankGroup(transfer.BankID(b.GetId())))
			if groups[name] == nil {
				groups[name] = &seen{at: map[uint64]bool{}}
			}
			for _, m := range b.GetNodes() {
				groups[name].at[m] = true
			}
		}
	}
	var all []*verifiedGroup
	for name, g := range groups {
		v := &verifiedGroup{Group: name}
		for node := range g.at {
			v.Replicas = append(v.Replicas, verifiedReplica{Node: node, from: byID[node]})
		}
		slices.SortFunc(v.Replicas, func(a, b verifiedReplica) int { return int(a.Node) - int(b.Node) })
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *verifiedGroup) int { return strings.Compare(a.Group, b.Group) })
	return all
}

// comparisonsAtOnce bounds how many groups are compared at the same time.
const comparisonsAtOnce = 16

func compareAll(ctx context.Context, groups []*verifiedGroup) {
	places := make(chan struct{}, comparisonsAtOnce)
	var comparing sync.WaitGroup
	for _, g := range groups {
		places <- struct{}{}
		comparing.Go(func() {
			g.compare(ctx)
			<-places
		})
	}
	comparing.Wait()
}

// compare asks all replicas for their newest entry, and then for the hash at the newest of those. Who hasn't applied it yet answers when it has; if one has
// already forgotten it, a newer one is asked for.
func (g *verifiedGroup) compare(ctx context.Context) {
	for {
		asked := g.Index
		g.askAll(ctx)
		newest, all := uint64(0), true
		for i := range g.Replicas {
			newest = max(newest, g.Replicas[i].Index)
		}
		for i := range g.Replicas {
			all = all && (!g.Replicas[i].asked || g.Replicas[i].Index == newest)
		}
		g.Index = newest
		if all || ctx.Err() != nil || newest == asked {
			break
		}
	}
	g.judge()
}

func (g *verifiedGroup) askAll(ctx context.Context) {
	var asking sync.WaitGroup
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if r.from == nil {
			r.lacks(fmt.Errorf("node %d doesn't answer, or isn't named by --server", r.Node))
			continue
		}
		asking.Go(func() {
			h, err := adminv1.NewVerifyServiceClient(r.from.conn).HashReplica(ctx, &adminv1.HashReplicaRequest{Group: g.Group, Index: g.Index})
			if r.asked = err == nil; !r.asked {
				r.lacks(fmt.Errorf("node %d: %w", r.Node, toldBy(r.from, err)))
				return
			}
			r.Index, r.hash, r.Detail, r.lack = h.GetIndex(), h.GetHash(), "", nil
		})
	}
	asking.Wait()
}

func (r *verifiedReplica) lacks(why error) {
	r.lack, r.Detail = why, why.Error()
}

// judge says which replicas differ: from the hash that most of those have that could be compared. If there is no such hash, all of them.
func (g *verifiedGroup) judge() {
	votes, compared := map[uint64]int{}, 0
	for i := range g.Replicas {
		if r := &g.Replicas[i]; r.asked && r.Index == g.Index {
			votes[r.hash]++
			compared++
		}
	}
	for i := range g.Replicas {
		r := &g.Replicas[i]
		switch {
		case !r.asked:
			r.Result, r.Index = "missing", 0
			continue
		case r.Index != g.Index:
			r.Result = "behind"
			r.lacks(fmt.Errorf("node %d has applied entry %d, the others have %d", r.Node, r.Index, g.Index))
		case 2*votes[r.hash] > compared:
			r.Result = "same"
		default:
			r.Result = "differs"
		}
		r.Hash = hashText(r.hash)
	}
}

// findings are the replicas that differ; notCompared those that nothing can be said of.
func (g *verifiedGroup) findings() (found []finding, notCompared []error) {
	for i := range g.Replicas {
		r := &g.Replicas[i]
		switch r.Result {
		case "differs":
			found = append(found, finding{
				Kind: "state_hash", Group: g.Group, Node: r.Node, Index: g.Index,
				Detail: fmt.Sprintf("after entry %d node %d has %s, %s", g.Index, r.Node, r.Hash, g.othersHave(r)),
			})
		case "behind", "missing":
			notCompared = append(notCompared, fmt.Errorf("%s: %w", g.Group, r.lack))
		}
		if r.Scan != nil && !r.Scan.sound() {
			detail := fmt.Sprintf("node %d has stored records that come to %s, and recorded %s", r.Node, r.Scan.Computed, r.Scan.Recorded)
			if r.Scan.Fault != "" {
				detail = fmt.Sprintf("node %d: %s", r.Node, r.Scan.Fault)
			}
			found = append(found, finding{Kind: "stored_state", Group: g.Group, Node: r.Node, Index: r.Scan.Index, Detail: detail})
		}
	}
	return found, notCompared
}

func (g *verifiedGroup) othersHave(r *verifiedReplica) string {
	var words []string
	for i := range g.Replicas {
		if o := &g.Replicas[i]; o != r && o.Hash != "" && o.Index == g.Index {
			words = append(words, fmt.Sprintf("node %d %s", o.Node, o.Hash))
		}
	}
	return strings.Join(words, ", ")
}

// scanAll has every node read what it has stored of each of its groups: all nodes at once, one group after the other.
func scanAll(ctx context.Context, groups []*verifiedGroup, say func(string)) (failed []error) {
	type work struct {
		group   string
		replica *verifiedReplica
	}
	byNode := map[*backupNode][]work{}
	for _, g := range groups {
		if !hasState(g.Group) {
			continue
		}
		for i := range g.Replicas {
			if r := &g.Replicas[i]; r.from != nil {
				byNode[r.from] = append(byNode[r.from], work{g.Group, r})
			}
		}
	}
	var mu sync.Mutex // guards failed, and say
	var scanning sync.WaitGroup
	for _, mine := range byNode {
		scanning.Go(func() {
			for _, w := range mine {
				err := w.replica.scan(ctx, w.group)
				mu.Lock()
				if err != nil {
					failed = append(failed, fmt.Errorf("%s: the scan at node %d: %w", w.group, w.replica.Node, err))
				} else {
					say(fmt.Sprintf("scanned %s at node %d: %d records", w.group, w.replica.Node, w.replica.Scan.Records))
				}
				mu.Unlock()
			}
		})
	}
	scanning.Wait()
	slices.SortFunc(failed, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return failed
}

// hasState says whether a group's replicas keep more than their log.
func hasState(group string) bool {
	id := lane.GroupID(group)
	return lane.IsCoordinator(id) || lane.BankOf(id) != ""
}

func (r *verifiedReplica) scan(ctx context.Context, group string) error {
	s, err := adminv1.NewVerifyServiceClient(r.from.conn).ScanReplica(ctx, &adminv1.ScanReplicaRequest{Group: group})
	if err != nil {
		return toldBy(r.from, err)
	}
	r.Scan = &storedScan{Index: s.GetIndex(), Records: s.GetRecords(), Recorded: hashText(s.GetRecorded()), Computed: hashText(s.GetComputed()), Fault: s.GetFault()}
	return nil
}
