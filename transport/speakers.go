package transport

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/quorate/quorate/raft"
)

// speakers knows which process speaks as which node. Two at the same time have the same data, one of them by a copy, and would promise different things
// under one name. The first one stays: it has all that was promised so far. It also knows from which data directory each has spoken: the cluster learns that a
// moment after it begins, and a node may have promised something before.
type speakers struct {
	mu   sync.Mutex // guards the rest
	from map[raft.NodeID]*speaker
	disk map[raft.NodeID]string // of each that has spoken since this process began
}

func newSpeakers() speakers {
	return speakers{from: map[raft.NodeID]*speaker{}, disk: map[raft.NodeID]string{}}
}

type speaker struct {
	process string
	streams int // open ones; more than one while an old one ends
}

// enter lets a stream in, unless another process has one, or the node spoke from another data directory before. If the cluster knows its directory, registered, that has been
// compared already.
func (s *speakers) enter(from raft.NodeID, process, disk string, registered bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	there, was := s.from[from], s.disk[from]
	switch {
	case !registered && was != "" && was != disk:
		return otherDisk(from)
	case there == nil:
		s.from[from] = &speaker{process, 1}
	case there.process != process:
		return refuse("another process speaks as node %d already. why: its data directory is the same, or a copy of it. try: stop one of the two; "+
			"if the other has just died with its machine, wait %v", from, keepaliveTime+keepaliveTimeout)
	default:
		there.streams++
	}
	s.disk[from] = disk
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

// toldBy is what a stream says about its other end.
func toldBy(stream grpc.ServerStream, header string) string {
	md, _ := metadata.FromIncomingContext(stream.Context())
	return first(md, header)
}
