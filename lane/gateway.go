package lane

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// waiter is who waits for an answer: a request at this node's gateway, or at another's.
type waiter driver.Waiter

func waiterAt(node raft.NodeID, request uint64) waiter {
	return waiter{Node: uint64(node), Request: request}
}

// gateway keeps the requests that clients have open at this node. It finds the leader for each,
// asks again when leadership moves (every request is safe to repeat), and gives up at the client's time.
type gateway struct {
	open  map[uint64]*openAsk
	order []*openAsk // as they came; closed ones are dropped when they are met
}

type openAsk struct {
	Asked
	group  GroupID
	target raft.NodeID // who was asked last; zero: nobody yet
	since  time.Time   // it came
	sentAt time.Time
	sent   int // how often somebody was asked: from then on something may have happened
	closed bool

	turnedAway bool // by the one asked last, who had too much to do
}

func newGateway() gateway { return gateway{open: map[uint64]*openAsk{}} }

// add takes a client's request.
func (w *gateway) add(l *Lane, asked Asked) {
	if _, ok := asked.Ask.(GetStatus); ok {
		status := l.status()
		l.answerHere(asked.Request, Answer{Status: &status})
		return
	}
	a := &openAsk{Asked: asked, group: l.groupOf(asked.Ask), since: l.now}
	if get, ok := asked.Ask.(GetTransfer); ok && get.Stale && l.groups[a.group] != nil {
		l.answerHere(asked.Request, l.answerStale(l.groups[a.group], get))
		return
	}
	if read, ok := asked.Ask.(ReadDecisions); ok && l.groups[a.group] != nil {
		if c, is := l.groups[a.group].host.(*coordinatorHost); is && c.canList() {
			l.answerHere(asked.Request, c.decisions(&read))
			return
		}
	}
	err := l.admit(a)
	if err == nil && !a.Until.After(l.now) {
		err = fmt.Errorf("%w: the request has waited for so long that its time was over before it was looked at", transfer.ErrBusy)
	}
	if err != nil {
		l.answerHere(asked.Request, Answer{Err: err})
		return
	}
	w.open[asked.Request] = a
	w.order = append(w.order, a)
	w.dispatch(l, a)
}

// admit refuses at the door what can't be served.
func (l *Lane) admit(a *openAsk) error {
	if l.members(a.group) == nil {
		return l.unknown(a.group)
	}
	if len(l.gateway.open) >= l.limits.AsksMax {
		return fmt.Errorf("%w: %d requests are open at node %d", transfer.ErrBusy, len(l.gateway.open), l.node)
	}
	return nil
}

func (l *Lane) unknown(id GroupID) error {
	if bank, ok := strings.CutPrefix(string(id), bankPrefix); ok {
		return fmt.Errorf("%w: %q", transfer.ErrUnknownBank, bank)
	}
	return fmt.Errorf("%w: %s", transfer.ErrUnknownGroup, id)
}

// dispatch asks the leader, if one is known.
func (w *gateway) dispatch(l *Lane, a *openAsk) {
	if ofOwnReplica(a.Ask) {
		l.askOwnReplica(a)
		return
	}
	if l.early(a.Ask) {
		return
	}
	leader := l.leaderOf(a.group)
	if leader == l.node && !l.leads(a.group) {
		leader = 0 // elected, but not ready to answer
	}
	a.target = leader
	if onlyHere(a.Ask) && leader != l.node {
		w.close(l, a, Answer{Err: fmt.Errorf("%w: node %d doesn't lead %s", transfer.ErrNoLeader, l.node, a.group)})
		return
	}
	if leader == 0 {
		return
	}
	a.sentAt, a.turnedAway = l.now, false
	a.sent++
	if leader == l.node {
		l.serve(waiterAt(l.node, a.Request), a.group, a.Ask)
		return
	}
	l.askRemote(a.group, leader, Forward{Request: a.Request, Group: a.group, Ask: a.Ask})
}

// tick repeats what may have been lost and answers what has waited long enough.
func (w *gateway) tick(l *Lane) {
	kept := w.order[:0]
	for _, a := range w.order {
		if !a.closed && !w.expireEarly(l, a) && !a.Until.After(l.now) {
			w.expire(l, a)
		}
		if a.closed {
			continue
		}
		kept = append(kept, a)
		if wait, repeat := a.repeatAfter(l); repeat && l.now.Sub(a.sentAt) >= wait {
			w.dispatch(l, a)
		}
	}
	clear(w.order[len(kept):])
	w.order = kept
}

// expire answers who has waited long enough: a replica that hasn't come far enough says how far.
func (w *gateway) expire(l *Lane, a *openAsk) {
	switch ask := a.Ask.(type) {
	case HashReplica:
		w.close(l, a, Answer{Hash: l.groups[a.group].hashAt(ask.Index)})
	case SaveReplica:
		w.close(l, a, Answer{Err: fmt.Errorf("%w: the checkpoint of %s isn't durable yet", transfer.ErrBusy, a.group)})
	default:
		w.close(l, a, Answer{Err: a.tooLate()})
	}
}

// repeatAfter says how long after it was sent last a request is sent again, if it ever is. The time doubles with every time that it was sent, up to fourfold: a
// leader that is alive and answers late has too much to do already.
func (a *openAsk) repeatAfter(l *Lane) (wait time.Duration, repeat bool) {
	if a.target == 0 {
		return 0, true
	}
	return l.limits.ReforwardAfter << min(max(a.sent-1, 0), 2), a.turnedAway || a.target != l.node
}

// leaderMoved asks the new leader what the old one still owes.
func (w *gateway) leaderMoved(l *Lane, id GroupID) {
	leader := l.leaderOf(id)
	for _, a := range w.order {
		if !a.closed && a.group == id && a.target != leader && !ofOwnReplica(a.Ask) {
			w.dispatch(l, a)
		}
	}
}

// tooLate says what a client may conclude from silence.
func (a *openAsk) tooLate() error {
	if _, get := a.Ask.(GetTransfer); get && a.target == 0 {
		return fmt.Errorf("%w: group %s", transfer.ErrNoLeader, a.group) // nobody is finding out
	}
	if id, ok := transferOf(a.Ask); ok && a.sent > 0 {
		return fmt.Errorf("%w: transfer %s", transfer.ErrOutcomeUnknown, id)
	}
	if open, ok := a.Ask.(OpenAccount); ok && a.sent > 0 {
		return fmt.Errorf("%w: account %s at bank %s", transfer.ErrOutcomeUnknown, open.Terms.ID, open.Bank)
	}
	if changesCluster(a.Ask) && a.sent > 0 {
		return fmt.Errorf("%w: see how the cluster is now", transfer.ErrOutcomeUnknown)
	}
	if change, ok := a.Ask.(ChangeAccount); ok && a.sent > 0 {
		return fmt.Errorf("%w: to %s account %s at bank %s", transfer.ErrOutcomeUnknown, change.Change.Kind, change.Change.Account, change.Bank)
	}
	return fmt.Errorf("%w: group %s", transfer.ErrNoLeader, a.group)
}

func changesCluster(ask Ask) bool {
	switch ask.(type) {
	case AddMember, PromoteMember, RemoveMember, PlaceGroup, TransferLeader, AddToken, RevokeToken:
		return true
	}
	return false
}

// transferOf is the id of the transfer that a request is about, if it is about one.
func transferOf(ask Ask) (id transfer.ID, ok bool) {
	switch a := ask.(type) {
	case Submit:
		return a.Transfer.ID, true
	case CaptureTransfer:
		return a.ID, true
	case VoidTransfer:
		return a.ID, true
	case CancelTransfer:
		return a.ID, true
	case GetTransfer:
		return a.ID, true
	}
	return transfer.ID{}, false
}

// changes says whether a request may change something.
func changes(ask Ask) bool {
	switch ask.(type) {
	case Submit, CaptureTransfer, VoidTransfer, CancelTransfer, OpenAccount, ChangeAccount:
		return true
	}
	return false
}

// answered takes a leader's answer. One that has too much to do has not taken this copy of a request, and another may be on its way to be taken: rather than
// leave a client with "unknown", the request is asked again.
func (w *gateway) answered(l *Lane, a *openAsk, from raft.NodeID, answer Answer) {
	if a.sent > 1 && changes(a.Ask) && errors.Is(answer.Err, transfer.ErrBusy) {
		a.turnedAway = a.turnedAway || from == a.target
		return
	}
	w.close(l, a, answer)
}

func (w *gateway) close(l *Lane, a *openAsk, answer Answer) {
	a.closed = true
	answer.Err = a.truthful(answer.Err)
	delete(w.open, a.Request)
	l.answerHere(a.Request, answer)
}

// forget drops a request that nobody waits for; what it has begun goes on.
func (w *gateway) forget(request uint64) {
	if a := w.open[request]; a != nil {
		a.closed = true
		delete(w.open, request)
	}
}

// truthful takes back "nothing was changed" if the request was sent more than once: it is one copy that was refused, and another
// may be on its way to be accepted.
func (a *openAsk) truthful(err error) error {
	var refused *transfer.Error
	if a.sent < 2 || !errors.As(err, &refused) {
		return err
	}
	if changesCluster(a.Ask) {
		return fmt.Errorf("%w: asked %d times, and once refused: %v", transfer.ErrOutcomeUnknown, a.sent, err)
	}
	if !changes(a.Ask) {
		return err
	}
	if refused.Kind == transfer.KindExhausted || refused.Kind == transfer.KindUnavailable || refused == transfer.ErrInvalidDeadline {
		return fmt.Errorf("%w: asked %d times, and once refused: %v", transfer.ErrOutcomeUnknown, a.sent, err)
	}
	return err
}

// forwardReplied takes an answer from the node that was asked.
func (w *gateway) forwardReplied(l *Lane, from raft.NodeID, m ForwardReply) {
	a := w.open[m.Request]
	if a == nil {
		return
	}
	l.heardFrom(a.group, from)
	if m.NotLeader {
		if a.target == from {
			a.target = 0 // the next tick asks again, if the hint leads nowhere
		}
		l.learnLeader(a.group, from, m.LeaderHint)
		return
	}
	if !a.fits(&m.Answer) {
		l.report(MessageRefused{From: from, Group: a.group, Err: fmt.Errorf("the answer to request %d is about transfer %s", m.Request, m.Answer.Transfer.Transfer.ID)})
		return
	}
	w.answered(l, a, from, m.Answer)
}

// fits says whether an answer from another node can be the answer to this request: request numbers of an earlier life
// of this node must never meet a question of this one.
func (a *openAsk) fits(answer *Answer) bool {
	id, ok := transferOf(a.Ask)
	return !ok || answer.Err != nil || answer.Transfer.Transfer.ID == id
}

func (l *Lane) answerHere(request uint64, answer Answer) {
	l.effects.Answers = append(l.effects.Answers, Answered{Request: request, Answer: answer})
}

// answer gives a waiter its answer, wherever it waits.
func (l *Lane) answer(w waiter, answer Answer) {
	if w == (waiter{}) {
		return
	}
	if raft.NodeID(w.Node) != l.node {
		l.send(raft.NodeID(w.Node), ForwardReply{Request: w.Request, Answer: answer})
		return
	}
	if a := l.gateway.open[w.Request]; a != nil {
		l.gateway.answered(l, a, l.node, answer)
	}
}

// lost tells a waiter that this node won't know: whoever leads next must be asked.
func (l *Lane) lost(w waiter, id GroupID) {
	if w == (waiter{}) {
		return
	}
	if raft.NodeID(w.Node) != l.node {
		l.send(raft.NodeID(w.Node), ForwardReply{Request: w.Request, NotLeader: true, LeaderHint: l.leaderOf(id)})
		return
	}
	if a := l.gateway.open[w.Request]; a != nil {
		a.target = 0
	}
}

// serve has this node's replica answer, if it leads the group.
func (l *Lane) serve(w waiter, id GroupID, ask Ask) {
	if !l.leads(id) {
		l.lost(w, id)
		return
	}
	if l.refuses(l.groups[id], ask) {
		l.refuse(w, l.groups[id])
		return
	}
	switch a := ask.(type) {
	case HoldCommits:
		l.answer(w, Answer{Err: l.groups[id].host.(*bankHost).holdCommits(&a)})
	case Cut, Examine, FindTransfers:
		l.read(l.groups[id], w, ask)
	case TransferLeader:
		l.transferLeader(l.groups[id], w, a.To)
	default:
		l.groups[id].host.serve(w, ask)
	}
}

// leads says whether this node leads the group and is ready to answer for it.
func (l *Lane) leads(id GroupID) bool {
	g := l.groups[id]
	return g != nil && g.leading
}
