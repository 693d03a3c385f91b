package main

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/quorate/quorate/internal/linear"
	"github.com/quorate/quorate/transfer"
)

const (
	promiseStatusReads  = "reads of a transfer are linearizable"
	promiseAccountReads = "reads of an account are linearizable"
)

// historyPatience is how long porcupine may think about one history. They are small: it needs milliseconds.
const historyPatience = 30 * time.Second

// checkHistory says whether a history is linearizable, and draws one that isn't into dir.
func checkHistory(model porcupine.Model, history []porcupine.Operation, dir, name string) (verdict porcupine.CheckResult, drawing string) {
	verdict, info := porcupine.CheckOperationsVerbose(model, history, historyPatience)
	if verdict != porcupine.Illegal {
		return verdict, ""
	}
	drawing = filepath.Join(dir, "history-"+name+".html")
	if err := porcupine.VisualizePath(model, info, drawing); err != nil {
		return verdict, fmt.Sprintf("no drawing: %v", err)
	}
	return verdict, "drawn in " + drawing
}

// judgeTransfer holds what everybody heard of one id against the model.
func judgeTransfer(p *payment, dir string) (verdict porcupine.CheckResult, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdict, drawing := checkHistory(linear.Transfer(), p.history, dir, p.transfer.ID.String())
	if verdict != porcupine.Illegal {
		return verdict, ""
	}
	return verdict, fmt.Sprintf("transfer %s: %s\n%s", p.transfer.ID, drawing, describe(linear.Transfer(), p.history))
}

// looks are the reads of the witness accounts since the last audit.
type looks struct {
	mu   sync.Mutex // guards the rest
	seen map[account][]porcupine.Operation
	base map[account]int64 // their balances at the last audit
}

func newLooks() *looks {
	return &looks{seen: map[account][]porcupine.Operation{}, base: map[account]int64{}}
}

func (l *looks) add(a account, s linear.Span, postedMinor int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[a] = append(l.seen[a], linear.Looked(s, postedMinor))
}

// histories joins what was read with what was posted, per account, and begins anew. Everything is settled at now.
func (l *looks) histories(payments []*payment, now int64) map[account]accountHistory {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[account]accountHistory{}
	for a, ops := range l.seen {
		out[a] = accountHistory{base: l.base[a], ops: ops}
	}
	for i, p := range payments {
		if !p.witness || p.outcome() != transfer.Committed {
			continue
		}
		end := now
		if p.settled != 0 {
			end = p.settled
		}
		for _, leg := range p.transfer.Legs {
			a := account{leg.Bank, leg.Account}
			h, has := out[a]
			if !has {
				h.base = l.base[a]
			}
			h.ops = append(h.ops, linear.Posted(span(1000+i, p.begun, end), leg.SignedMinor()))
			out[a] = h
			l.base[a] += leg.SignedMinor()
		}
	}
	l.seen = map[account][]porcupine.Operation{}
	return out
}

// accountHistory is what happened to one account since it held base.
type accountHistory struct {
	base int64
	ops  []porcupine.Operation
}

func judgeAccount(a account, h accountHistory, dir string) (verdict porcupine.CheckResult, what string) {
	verdict, drawing := checkHistory(linear.Account(h.base), h.ops, dir, string(a.bank)+"-"+string(a.id))
	if verdict != porcupine.Illegal {
		return verdict, ""
	}
	return verdict, fmt.Sprintf("account %s of bank %s, from %d: %s", a.id, a.bank, h.base, drawing)
}

// describe lists a short history as text.
func describe(model porcupine.Model, history []porcupine.Operation) (text string) {
	for _, op := range history {
		end := "never"
		if op.Return != linear.Unknown {
			end = fmt.Sprintf("%.6f", time.Duration(op.Return).Seconds())
		}
		text += fmt.Sprintf("    %.6f … %s  caller %d: %s\n", time.Duration(op.Call).Seconds(), end, op.ClientId, model.DescribeOperation(op.Input, op.Output))
	}
	return text
}
