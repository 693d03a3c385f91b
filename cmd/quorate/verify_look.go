package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/quorate/quorate/lane"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// straysGoWithin is how long a hold may be without a transfer that a coordinator has open. A bank asks about a hold that is three seconds old, and every second again.
const straysGoWithin = 15 * time.Second

// lookWithin compares coordinators and banks. A hold without a transfer counts only if it is still there at each of the looks that follow.
func (nodes backupNodes) lookWithin(ctx context.Context, timeout time.Duration, say func(string)) (lookResult, error) {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, err := nodes.lookAgain(within)
	if err != nil {
		return v, err
	}
	stray, waiting := v.stray, time.Now().Add(straysGoWithin)
	for said := false; len(stray) > 0 && time.Now().Before(waiting); {
		if !said && len(stray) > 0 {
			say(fmt.Sprintf("%d holds whose transfer no coordinator has open yet; looking again", len(stray)))
			said = true
		}
		if err := pause(ctx, cutAgainAfter); err != nil {
			return v, err
		}
		next, err := nodes.lookOnce(ctx, timeout)
		if err != nil {
			return v, err
		}
		stray = next.stillStray(stray)
	}
	v.findings = append(v.findings, strayFindings(stray)...)
	return v, nil
}

func (nodes backupNodes) lookOnce(ctx context.Context, timeout time.Duration) (lookResult, error) {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return nodes.lookAgain(within)
}

// lookAgain tries until it has seen everything or time is up.
func (nodes backupNodes) lookAgain(ctx context.Context) (lookResult, error) {
	for {
		s, err := nodes.look(ctx)
		if err == nil {
			return s.judge(), nil
		}
		if isDenied(err) {
			return lookResult{}, err
		}
		if pause(ctx, cutAgainAfter) != nil {
			return lookResult{}, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// look holds the commits of all banks, examines the coordinators, examines the banks, and lets the banks go on: the order of a backup.
func (nodes backupNodes) look(ctx context.Context) (*sight, error) {
	lead, err := nodes.leaders(ctx)
	if err != nil {
		return nil, err
	}
	hold := rand.Uint64() | 1
	defer func() { // also of banks that haven't answered: they may have heard
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = lead.holdCommits(ctx, hold, 0) // one that doesn't hear goes on by itself
	}()
	if err := lead.holdCommits(ctx, hold, holdFor); err != nil {
		return nil, err
	}
	s := &sight{open: map[transfer.ID]*openTransfer{}, banks: map[transfer.BankID]*bankSight{}}
	coordinators, err := eachGroup(lead.coordinators, func(group string, n *backupNode) (*examined, error) { return n.examine(ctx, group, 0) })
	if err != nil {
		return nil, err
	}
	for _, x := range coordinators {
		if err := s.addCoordinator(x); err != nil {
			return nil, err
		}
	}
	banks, err := eachGroup(lead.banks, func(group string, n *backupNode) (*examined, error) { return n.examine(ctx, group, hold) })
	if err != nil {
		return nil, err
	}
	for _, x := range banks {
		if err := s.addBank(x); err != nil {
			return nil, err
		}
	}
	_, err = eachGroup(lead.banks, func(group string, n *backupNode) (struct{}, error) {
		return struct{}{}, s.ask(ctx, n, lane.BankOf(lane.GroupID(group)), hold)
	})
	return s, err
}

// examined is a whole answer.
type examined struct {
	group     string
	unsettled []*adminv1.UnsettledTransfer
	totals    []*adminv1.CurrencyTotal
	holds     []*adminv1.OpenHold
}

func (n *backupNode) examine(ctx context.Context, group string, hold uint64) (*examined, error) {
	stream, err := adminv1.NewVerifyServiceClient(n.conn).ExamineGroup(ctx, &adminv1.ExamineGroupRequest{Group: group, Hold: hold})
	if err != nil {
		return nil, toldBy(n, err)
	}
	x := &examined{group: group}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return x, nil
		}
		if err != nil {
			return nil, toldBy(n, err)
		}
		x.unsettled = append(x.unsettled, m.GetUnsettled()...)
		x.totals = append(x.totals, m.GetTotals()...)
		x.holds = append(x.holds, m.GetHolds()...)
	}
}

func (s *sight) addCoordinator(x *examined) error {
	for _, u := range x.unsettled {
		id, fingerprint, err := readContent(x.group, u.GetId(), u.GetFingerprint())
		if err != nil {
			return err
		}
		t := &openTransfer{coordinator: x.group, fingerprint: fingerprint, amounts: map[transfer.BankID]amounts{}}
		for _, state := range []transfer.State{transfer.Pending, transfer.Held, transfer.Committed, transfer.Aborted} {
			if state.String() == u.GetState() {
				t.state = state
			}
		}
		if t.state == 0 {
			return fmt.Errorf("%w: %s says that transfer %s is %q, which this version doesn't understand", transfer.ErrInternal, x.group, id, u.GetState())
		}
		for _, a := range u.GetAmounts() {
			at := transfer.BankID(a.GetBank())
			if t.amounts[at] == nil {
				t.amounts[at] = amounts{}
			}
			t.amounts[at][transfer.Currency(a.GetCurrency())] += a.GetAmountMinor()
		}
		s.open[id] = t
	}
	return nil
}

func (s *sight) addBank(x *examined) error {
	b := &bankSight{posted: amounts{}, holds: map[transfer.ID]heldTransfer{}, known: map[transfer.ID]adminv1.BankKnowledge{}}
	for _, t := range x.totals {
		b.posted[transfer.Currency(t.GetCurrency())] += t.GetPostedMinor()
	}
	for _, h := range x.holds {
		id, fingerprint, err := readContent(x.group, h.GetId(), h.GetFingerprint())
		if err != nil {
			return err
		}
		b.holds[id] = heldTransfer{fingerprint, h.GetPreparedAt().AsTime()}
	}
	s.banks[lane.BankOf(lane.GroupID(x.group))] = b
	return nil
}

func readContent(group string, id, fingerprint []byte) (transfer.ID, transfer.Fingerprint, error) {
	if len(id) != len(transfer.ID{}) || len(fingerprint) != len(transfer.Fingerprint{}) {
		return transfer.ID{}, transfer.Fingerprint{}, fmt.Errorf("%w: %s sent an id of %d bytes and a fingerprint of %d", transfer.ErrInternal, group, len(id), len(fingerprint))
	}
	return transfer.ID(id), transfer.Fingerprint(fingerprint), nil
}

// askedAtOnce is how many transfers a bank is asked about in one request.
const askedAtOnce = 1000

// ask has a bank say what it knows of the open transfers that it takes part in and doesn't hold. It still holds its commits, so what it says is as if it had
// said it when it was examined.
func (s *sight) ask(ctx context.Context, n *backupNode, at transfer.BankID, hold uint64) error {
	b := s.banks[at]
	var ids []transfer.ID
	for id, t := range s.open {
		if _, takesPart := t.amounts[at]; takesPart && !s.holds(b, id) {
			ids = append(ids, id)
		}
	}
	for len(ids) > 0 {
		some := ids[:min(len(ids), askedAtOnce)]
		ids = ids[len(some):]
		request := &adminv1.FindTransfersRequest{Bank: string(at), Hold: hold}
		for _, id := range some {
			fingerprint := s.open[id].fingerprint
			request.Transfers = append(request.Transfers, &adminv1.TransferContent{Id: id[:], Fingerprint: fingerprint[:]})
		}
		answer, err := adminv1.NewVerifyServiceClient(n.conn).FindTransfers(ctx, request)
		if err != nil {
			return toldBy(n, err)
		}
		if len(answer.GetFound()) != len(some) {
			return fmt.Errorf("%w: bank %s says what it knows of %d transfers, it was asked about %d", transfer.ErrInternal, at, len(answer.GetFound()), len(some))
		}
		for i, id := range some {
			b.known[id] = answer.GetFound()[i]
		}
	}
	return nil
}
