package transport

import (
	"maps"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/raft"
)

// speakers knows which process speaks as which node. Two at the same time have the same data, one of them by a copy, and would promise different things
// under one name. The first one stays: it has all that was promised so far. It also knows from which data directory each has spoken, in earlier lives of this
// node as well: the cluster learns that a moment after it begins, and a node may have promised something before.
type speakers struct {
	meet func(raft.NodeID, [16]byte) error // Config.Meet

	mu   sync.Mutex // guards the rest; held while meet is called, once for each node
	from map[raft.NodeID]*speaker
	disk map[raft.NodeID][16]byte // of each that has ever spoken
}

func newSpeakers(cfg *Config) speakers {
	met := map[raft.NodeID][16]byte{}
	maps.Copy(met, cfg.Met)
	return speakers{meet: cfg.Meet, from: map[raft.NodeID]*speaker{}, disk: met}
}

type speaker struct {
	process string
	streams int // open ones; more than one while an old one ends
}

// enter lets a stream in, unless another process has one, or the node spoke from another data directory before. If the cluster knows its directory, registered, that has been
// compared already. Nothing of what the stream brings is looked at before its directory is remembered for good.
func (s *speakers) enter(from raft.NodeID, process string, disk [16]byte, registered bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.from[from]
	was, met := s.disk[from]
	switch {
	case !registered && met && was != disk:
		return otherDiskThanMet(from)
	case there != nil && there.process != process:
		return refuse("another process speaks as node %d already. why: its data directory is the same, or a copy of it. try: stop one of the two; "+
			"if the other has just died with its machine, wait %v", from, keepaliveTime+keepaliveTimeout)
	case !met || was != disk:
		if err := s.meet(from, disk); err != nil {
			return status.Errorf(codes.Unavailable, "this node can't remember node %d: %v", from, err)
		}
		s.disk[from] = disk
	}
	if there == nil {
		there = &speaker{process: process}
		s.from[from] = there
	}
	there.streams++
	return nil
}

func (s *speakers) leave(from raft.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := s.from[from]; there.streams > 1 {
		there.streams--
	} else {
		delete(s.from, from)
	}
}

func otherDisk(from raft.NodeID) error {
	return expel("node %d has another data directory than before. why: what it had promised to the others is gone with that. "+
		"try: give it its directory back, or remove it from the cluster and add the machine under a new id, with an empty one", from)
}

// otherDiskThanMet is otherDisk where the cluster may be so new that it has no members to remove yet.
func otherDiskThanMet(from raft.NodeID) error {
	return expel("node %d has another data directory than before. why: what it had promised to the others is gone with that. "+
		"try: give it its directory back, or remove it from the cluster and add the machine under a new id, with an empty one; "+
		"if the cluster is new and has never carried out anything, stop all nodes and empty all their data directories", from)
}
