package transport

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/quorate/quorate/raft"
)

// speakers knows which process speaks as which node. Two at the same time have the same data, one of them by a copy, and would promise different things
// under one name. The first one stays: it has all that was promised so far.
type speakers struct {
	mu   sync.Mutex
	from map[raft.NodeID]*speaker
}

type speaker struct {
	process string
	streams int // open ones; more than one while an old one ends
}

// enter lets a stream in, unless another process has one.
func (s *speakers) enter(from raft.NodeID, process string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.from[from]
	switch {
	case there == nil:
		s.from[from] = &speaker{process, 1}
	case there.process != process:
		return refuse("another process speaks as node %d already. why: its data directory is the same, or a copy of it. try: stop one of the two; "+
			"if the other has just died with its machine, wait %v", from, keepaliveTime+keepaliveTimeout)
	default:
		there.streams++
	}
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

func processOf(stream grpc.ServerStream) string {
	md, _ := metadata.FromIncomingContext(stream.Context())
	return first(md, headerProcess)
}
