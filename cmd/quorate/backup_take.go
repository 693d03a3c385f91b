package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quorate/quorate/backup"
	"github.com/quorate/quorate/client"
	"github.com/quorate/quorate/lane"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// backupNodes are the nodes that a backup is read from.
type backupNodes []*backupNode

type backupNode struct {
	address string
	conn    *grpc.ClientConn
	status  quoratev1.StatusServiceClient
	backup  adminv1.BackupServiceClient
}

func dialAll(servers []string, secure security) (backupNodes, error) {
	var nodes backupNodes
	for _, address := range servers {
		conn, err := grpc.NewClient("passthrough:///"+address, append(secure.ofGRPC(), grpc.WithDisableRetry())...)
		if err != nil {
			nodes.hangUp()
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		nodes = append(nodes, &backupNode{address, conn, quoratev1.NewStatusServiceClient(conn), adminv1.NewBackupServiceClient(conn)})
	}
	return nodes, nil
}

func (nodes backupNodes) hangUp() {
	for _, n := range nodes {
		_ = n.conn.Close() // of connections that nobody uses any more
	}
}

// clusterCut is one cut through a cluster: the streams of all groups, of which the first message has come.
type clusterCut struct {
	cluster      string
	coordinators int
	groups       []cutStream
	end          context.CancelFunc
}

type cutStream struct {
	group  string
	last   raft.EntryID
	stream grpc.ServerStreamingClient[adminv1.CutGroupResponse]
}

// holdFor is how long the banks wait with their commits at most. An attempt that takes longer begins anew.
const (
	holdFor       = 10 * time.Second
	cutAgainAfter = 200 * time.Millisecond
)

// cutWithin tries until a cut is made or time is up.
func (nodes backupNodes) cutWithin(ctx context.Context, timeout time.Duration) (*clusterCut, error) {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		c, err := nodes.cut(ctx, within)
		if err == nil || isDenied(err) {
			return c, err
		}
		select {
		case <-within.Done():
			return nil, err
		case <-time.After(cutAgainAfter):
		}
	}
}

// isDenied says that waiting is of no use: a node won't have the caller, or the one that leads isn't asked.
func isDenied(err error) bool {
	var unnamed *unnamedError
	return errors.Is(err, transfer.ErrUnauthenticated) || errors.Is(err, transfer.ErrForbidden) || errors.As(err, &unnamed)
}

// unnamedError says that --server leaves out a node that leads a group. It isn't for a group whose leader may be one that doesn't answer: the next one
// may be among those that do.
type unnamedError struct {
	node  uint64
	group string
}

func (e *unnamedError) Error() string {
	return fmt.Sprintf("%v: node %d leads %s, and --server doesn't name it", transfer.ErrNoLeader, e.node, e.group)
}
func (e *unnamedError) Unwrap() error { return transfer.ErrNoLeader }

// cut holds the commits of all banks, cuts the coordinators, cuts the banks, and lets the banks go on. The order is what keeps the money whole. The streams end
// with ctx, the cut must be made within the other one.
func (nodes backupNodes) cut(ctx, within context.Context) (*clusterCut, error) {
	lead, err := nodes.leaders(within)
	if err != nil {
		return nil, err
	}
	hold := rand.Uint64() | 1
	streams, end := context.WithCancel(ctx)
	stopWaiting := context.AfterFunc(within, end)
	defer stopWaiting()
	defer func() { // also of banks that haven't answered: they may have heard
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = lead.holdCommits(ctx, hold, 0) // one that doesn't hear goes on by itself
	}()
	c := &clusterCut{cluster: lead.cluster, coordinators: len(lead.coordinators), end: end}
	err = lead.holdCommits(within, hold, holdFor)
	if err == nil {
		err = c.open(streams, lead.coordinators, 0)
	}
	if err == nil {
		err = c.open(streams, lead.banks, hold)
	}
	if err == nil && !stopWaiting() {
		err = within.Err()
	}
	if err != nil {
		end()
		return nil, err
	}
	return c, nil
}

// open opens the streams of some groups at once, and waits until they are cut.
func (c *clusterCut) open(ctx context.Context, groups map[string]*backupNode, hold uint64) error {
	opened, err := eachGroup(groups, func(group string, n *backupNode) (cutStream, error) {
		stream, err := n.backup.CutGroup(ctx, &adminv1.CutGroupRequest{Group: group, Hold: hold})
		if err != nil {
			return cutStream{}, toldBy(n, err)
		}
		m, err := stream.Recv()
		if err != nil {
			return cutStream{}, toldBy(n, err)
		}
		return cutStream{group, raft.EntryID{Index: raft.Index(m.GetIndex()), Term: raft.Term(m.GetTerm())}, stream}, nil
	})
	c.groups = append(c.groups, opened...)
	return err
}

// writeTo reads all streams to their end.
func (c *clusterCut) writeTo(w *backup.Writer) (groups []backup.Group, err error) {
	for i := range c.groups {
		s := &c.groups[i]
		g, err := w.Group(i+1, s.group, s.last)
		if err != nil {
			return nil, err
		}
		err = s.copyTo(g)
		written, closed := g.Close()
		if err = firstOf(err, closed); err != nil {
			return nil, err
		}
		groups = append(groups, written)
	}
	return groups, nil
}

// firstOf is the first error that isn't nil: what follows from it says less.
func firstOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

func (s *cutStream) copyTo(g *backup.GroupWriter) error {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			return fmt.Errorf("read %s: %w", s.group, toldBy(nil, err))
		}
		if err := g.Chunk(m.GetData(), m.GetDone()); err != nil || m.GetDone() {
			return err
		}
	}
}

// leadership says which node leads each group.
type leadership struct {
	cluster      string
	coordinators map[string]*backupNode
	banks        map[string]*backupNode
}

// nameAll is what to do about a group without a leader among the nodes that were asked.
const nameAll = "--server with every node of the cluster (quorate cluster member list)"

// leaders asks all nodes. It fails as long as a group has no leader among them.
func (nodes backupNodes) leaders(ctx context.Context) (*leadership, error) {
	views, failed := nodes.views(ctx)
	l := &leadership{coordinators: map[string]*backupNode{}, banks: map[string]*backupNode{}}
	terms := map[string]uint64{}
	known := map[string]bool{}
	answered, heard := map[uint64]bool{}, map[string]*quoratev1.GroupStatus{} // by node; by group, what was heard of its latest term
	for i, view := range views {
		if view == nil {
			continue
		}
		if l.cluster == "" {
			l.cluster = view.GetCluster()
		}
		answered[view.GetNode()] = true
		if view.GetCluster() != l.cluster {
			return nil, usagef("--server names nodes of two clusters, %s and %s. try: the nodes of one", l.cluster, view.GetCluster())
		}
		for _, b := range view.GetBanks() {
			known[string(lane.BankGroup(transfer.BankID(b.GetId())))] = true
		}
		for _, g := range view.GetGroups() {
			name := g.GetGroup()
			coordinates := lane.IsCoordinator(lane.GroupID(name))
			if !coordinates && lane.BankOf(lane.GroupID(name)) == "" {
				continue // what the cluster is made of is in the configuration of a new one
			}
			known[name] = true
			if g.GetLeader() != 0 && g.GetTerm() >= heard[name].GetTerm() {
				heard[name] = g
			}
			if g.GetRole() != "leader" || g.GetTerm() <= terms[name] {
				continue
			}
			terms[name] = g.GetTerm()
			if coordinates {
				l.coordinators[name] = nodes[i]
			} else {
				l.banks[name] = nodes[i]
			}
		}
	}
	if l.cluster == "" {
		return nil, nobodyAnswers(failed)
	}
	for name := range known {
		if terms[name] != 0 {
			continue
		}
		if leader := heard[name].GetLeader(); leader != 0 && !answered[leader] && failed == nil {
			return nil, &adviceError{&unnamedError{leader, name}, nameAll}
		}
		return nil, &adviceError{fmt.Errorf("%w: none of the nodes named by --server leads %s", transfer.ErrNoLeader, name), nameAll}
	}
	if len(l.coordinators) == 0 {
		return nil, &adviceError{fmt.Errorf("%w: none of the nodes named by --server holds a coordinator group", transfer.ErrNoLeader), nameAll}
	}
	return l, nil
}

// views is what the nodes know; nil for one that doesn't answer, and why the last such one didn't.
func (nodes backupNodes) views(ctx context.Context) (views []*quoratev1.Status, failed error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	views, errs := make([]*quoratev1.Status, len(nodes)), make([]error, len(nodes))
	var asking sync.WaitGroup
	for i, n := range nodes {
		asking.Go(func() {
			r, err := n.status.GetStatus(ctx, &quoratev1.GetStatusRequest{})
			views[i], errs[i] = r.GetStatus(), err
		})
	}
	asking.Wait()
	for i, err := range errs {
		if err != nil {
			views[i], failed = nil, toldBy(nodes[i], err)
		}
	}
	return views, failed
}

// nobodyAnswers is said once all nodes have been silent; why is what the last one met with.
func nobodyAnswers(why error) error {
	var silent *silentError
	if errors.As(why, &silent) {
		return fmt.Errorf("%w: %w", client.ErrUnreachable, why)
	}
	return why
}

// holdCommits asks all banks at once.
func (l *leadership) holdCommits(ctx context.Context, hold uint64, d time.Duration) error {
	_, err := eachGroup(l.banks, func(group string, n *backupNode) (struct{}, error) {
		bank := string(lane.BankOf(lane.GroupID(group)))
		_, err := n.backup.HoldCommits(ctx, &adminv1.HoldCommitsRequest{Bank: bank, Hold: hold, Duration: durationpb.New(d)})
		if err != nil {
			return struct{}{}, toldBy(n, err)
		}
		return struct{}{}, nil
	})
	return err
}

// eachGroup does something for all groups at once, and waits for all. The results are in the order of the names.
func eachGroup[T any](groups map[string]*backupNode, do func(string, *backupNode) (T, error)) ([]T, error) {
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	results, errs := make([]T, len(names)), make([]error, len(names))
	var doing sync.WaitGroup
	for i, name := range names {
		doing.Go(func() { results[i], errs[i] = do(name, groups[name]) })
	}
	doing.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// toldBy is a node's error with the code that it gave; without one, the way to it failed.
func toldBy(n *backupNode, err error) error {
	s := status.Convert(err)
	for _, detail := range s.Details() {
		info, is := detail.(*errdetails.ErrorInfo)
		if !is {
			continue
		}
		if coded, known := transfer.ErrorOf(transfer.Code(info.GetReason())); known {
			return &toldError{coded, s.Message()}
		}
	}
	where := "a node"
	if n != nil {
		where = n.address
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &silentError{where, s.Message()}
}

// silentError says that one node doesn't answer. Others may.
type silentError struct{ where, why string }

func (e *silentError) Error() string { return fmt.Sprintf("%s doesn't answer: %s", e.where, e.why) }
func (e *silentError) Unwrap() error { return client.ErrUnreachable }

// toldError is what a node said, and what it stands for.
type toldError struct {
	is      *transfer.Error
	message string
}

func (e *toldError) Error() string { return e.message }
func (e *toldError) Unwrap() error { return e.is }
