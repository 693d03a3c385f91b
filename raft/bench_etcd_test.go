package raft_test

import (
	"io"
	"log"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

type etcdTrio struct {
	nodes   [3]*etcd.RawNode
	disks   [3]*etcd.MemoryStorage
	queue   []*pb.Message
	applied [3]uint64
	sent    int
}

func newEtcdTrio(logs [3]history) trio {
	g := &etcdTrio{}
	for i := range g.nodes {
		disk := etcd.NewMemoryStorage()
		// Its log can't begin without a snapshot that names the members: at 1, whose entry all histories share.
		first, term := uint64(1), uint64(1)
		err := disk.ApplySnapshot(&pb.Snapshot{Metadata: &pb.SnapshotMetadata{
			Index: &first, Term: &term, ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}},
		}})
		check(err)
		entries := make([]*pb.Entry, 0, len(logs[i]))
		for j, t := range logs[i] {
			if j > 0 {
				index, t := uint64(j+1), t
				entries = append(entries, &pb.Entry{Index: &index, Term: &t})
			}
			term = t
		}
		check(disk.Append(entries))
		commit := uint64(1)
		check(disk.SetHardState(&pb.HardState{Term: &term, Commit: &commit}))
		n, err := etcd.NewRawNode(&etcd.Config{
			ID: uint64(i + 1), ElectionTick: 1 << 20, HeartbeatTick: 1, Storage: disk, Applied: 1,
			MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: 1 << 30, MaxUncommittedEntriesSize: 64 << 20, MaxInflightMsgs: 256, MaxInflightBytes: 16 << 20,
			CheckQuorum: true, PreVote: true, Logger: &etcd.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
		})
		check(err)
		g.nodes[i], g.disks[i], g.applied[i] = n, disk, 1
	}
	return g
}

func (g *etcdTrio) elect() {
	check(g.nodes[0].Campaign())
	g.settle()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func (g *etcdTrio) propose(data []byte) { check(g.nodes[0].Propose(data)) }

func (g *etcdTrio) settle() {
	for busy := true; busy; {
		busy = false
		for i, r := range g.nodes {
			for r.HasReady() {
				busy = true
				rd := r.Ready()
				if rd.HardState != nil && !etcd.IsEmptyHardState(rd.HardState) {
					check(g.disks[i].SetHardState(rd.HardState))
				}
				check(g.disks[i].Append(rd.Entries))
				g.queue = append(g.queue, rd.Messages...)
				if n := len(rd.CommittedEntries); n > 0 {
					g.applied[i] = rd.CommittedEntries[n-1].GetIndex()
				}
				r.Advance(rd)
			}
		}
		for _, m := range g.queue {
			check(g.nodes[m.GetTo()-1].Step(m))
		}
		g.sent += len(g.queue)
		g.queue = g.queue[:0]
	}
}

func (g *etcdTrio) committed() uint64 { return g.nodes[0].BasicStatus().GetCommit() }
func (g *etcdTrio) messages() int     { return g.sent }

func (g *etcdTrio) compact() {
	for i := range g.nodes {
		check(g.disks[i].Compact(min(g.applied[0], g.applied[1], g.applied[2])))
	}
}
