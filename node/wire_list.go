package node

import (
	"fmt"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/lane"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/transfer"
)

func transferPageToProto(a *lane.ListTransfers) *peerv1.TransferPage {
	return &peerv1.TransferPage{
		Below: a.Below, Limit: uint32(a.Limit), State: uint32(a.Filter.State), Bank: string(a.Filter.Bank), Account: string(a.Filter.Account),
		Reference: a.Filter.Reference, SinceUnixNano: unixNano(a.Filter.Since), UntilUnixNano: unixNano(a.Filter.Until),
	}
}

func transferPageFromProto(group lane.GroupID, p *peerv1.TransferPage) (lane.ListTransfers, error) {
	if p.GetState() > uint32(transfer.Held) {
		return lane.ListTransfers{}, fmt.Errorf("%w: a list of transfers in state %d", errMalformed, p.GetState())
	}
	return lane.ListTransfers{Group: group, Below: p.GetBelow(), Limit: int(p.GetLimit()), Filter: coordinator.Filter{
		State: transfer.State(p.GetState()), Bank: transfer.BankID(p.GetBank()), Account: transfer.AccountID(p.GetAccount()),
		Reference: p.GetReference(), Since: fromUnixNano(p.GetSinceUnixNano()), Until: fromUnixNano(p.GetUntilUnixNano()),
	}}, nil
}

func decisionPageToProto(a *lane.ReadDecisions) *peerv1.DecisionPage {
	return &peerv1.DecisionPage{
		After: a.After, Newest: a.Newest, Limit: uint32(a.Limit),
		State: uint32(a.Filter.State), Bank: string(a.Filter.Bank), Account: string(a.Filter.Account), Reference: a.Filter.Reference,
	}
}

func decisionPageFromProto(group lane.GroupID, p *peerv1.DecisionPage) (lane.ReadDecisions, error) {
	if p.GetState() > uint32(transfer.Held) {
		return lane.ReadDecisions{}, fmt.Errorf("%w: decisions in state %d", errMalformed, p.GetState())
	}
	return lane.ReadDecisions{Group: group, After: p.GetAfter(), Newest: p.GetNewest(), Limit: int(p.GetLimit()), Filter: coordinator.Filter{
		State: transfer.State(p.GetState()), Bank: transfer.BankID(p.GetBank()), Account: transfer.AccountID(p.GetAccount()), Reference: p.GetReference(),
	}}, nil
}

// listToProto adds what an answer lists to its reply: a page, decisions, or what is in doubt.
func listToProto(a *lane.Answer, p *peerv1.ForwardReply) {
	if a.Listing == nil {
		return
	}
	page := &a.Listing.Page
	for i := range page.Listed {
		l := &page.Listed[i]
		p.Listed = append(p.Listed, &peerv1.ListedTransfer{Record: recordToProto(&l.Record), Number: l.Number, ReachedUnixNano: unixNano(l.ReachedAt)})
	}
	if page.Last != 0 {
		p.LastSeq, p.More, p.ReachedUnixNano = page.Last, page.More, unixNano(page.ReachedAt)
	}
	if d := &a.Listing.Decisions; d.Last != 0 {
		p.LastSeq, p.More = d.Last, d.More
		for i := range d.Decided {
			p.Decided = append(p.Decided, &peerv1.ListedTransfer{Record: recordToProto(&d.Decided[i].Record), Number: d.Decided[i].Number})
		}
	}
	for i := range a.Listing.Doubts {
		listed := &peerv1.ListedTransfer{Record: recordToProto(&a.Listing.Doubts[i].Record)}
		for _, at := range a.Listing.Doubts[i].Waiting {
			listed.Waiting = append(listed.Waiting, string(at))
		}
		p.Listed = append(p.Listed, listed)
	}
}

// listFromProto reads them back: what is in doubt has no number.
func listFromProto(p *peerv1.ForwardReply, a *lane.Answer) error {
	if len(p.Listed) == 0 && len(p.Decided) == 0 && p.LastSeq == 0 {
		return nil
	}
	list := &lane.Listing{}
	list.Page.Last, list.Page.More, list.Page.ReachedAt = p.LastSeq, p.More, fromUnixNano(p.ReachedUnixNano)
	for _, l := range p.Listed {
		if l.GetRecord() == nil {
			return fmt.Errorf("%w: a list with an empty item", errMalformed)
		}
		record, err := recordFromProto(l.GetRecord())
		if err != nil {
			return err
		}
		if l.GetNumber() != 0 {
			list.Page.Listed = append(list.Page.Listed, coordinator.Listed{Record: record, Number: l.GetNumber(), ReachedAt: fromUnixNano(l.GetReachedUnixNano())})
			continue
		}
		doubt := driver.Doubt{Record: record}
		for _, at := range l.GetWaiting() {
			doubt.Waiting = append(doubt.Waiting, transfer.BankID(at))
		}
		list.Doubts = append(list.Doubts, doubt)
	}
	list.Decisions.Last, list.Decisions.More = p.LastSeq, p.More
	for _, l := range p.Decided {
		if l.GetRecord() == nil {
			return fmt.Errorf("%w: a decision of no transfer", errMalformed)
		}
		record, err := recordFromProto(l.GetRecord())
		if err != nil {
			return err
		}
		list.Decisions.Decided = append(list.Decisions.Decided, coordinator.Numbered{Record: record, Number: l.GetNumber()})
	}
	a.Listing = list
	return nil
}
