package client

import (
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/quorate/quorate/transfer"
)

// A transfer has points in time, and a node is told how long they are away: at each attempt it is less.

const (
	timeoutDefault = 10 * time.Second // what a cluster gives a transfer without a deadline, unless it is configured otherwise
	timeoutLeast   = time.Millisecond
	timeoutMost    = 24 * time.Hour // of any cluster
)

// reckon has the message say how long the transfer and its hold still have. From the second attempt on a hold's times are kept possible: they may have been at
// first, and it may be held already. Where its banks could no longer prepare in the default time, half of what is left is for that.
func (s *submission) reckon(now time.Time) {
	t := &s.transfer
	s.spec.Timeout = timeoutAt(now, t.Deadline)
	if !t.IsHold() {
		return
	}
	left := t.HoldUntil.Sub(now)
	if s.again {
		if t.Deadline.IsZero() && left <= timeoutDefault {
			s.spec.Timeout = durationpb.New(max(left/2, timeoutLeast))
		}
		if t.HoldUntil.After(t.Deadline) { // else it never was right, and the node says so
			left = max(left, s.spec.GetTimeout().AsDuration()+time.Millisecond)
		}
	}
	s.again = true
	s.spec.HoldTimeout = durationpb.New(left)
}

// timeoutAt is how long a transfer still has; nil, which is the server's default, if it has no deadline. One
// whose deadline has passed is asked for all the same: it may have its outcome already. Begun milliseconds count as whole ones, so
// that the shortest time that a cluster allows is still that when the request leaves.
func timeoutAt(now, deadline time.Time) *durationpb.Duration {
	if deadline.IsZero() {
		return nil
	}
	left := min(deadline.Sub(now), timeoutMost) // first: rounding up the longest Duration would make it negative
	return durationpb.New(max((left + time.Millisecond - 1).Truncate(time.Millisecond), timeoutLeast))
}

// isOfTimes says of a refusal that it is about times, which may have been right at an earlier attempt.
func isOfTimes(err error) bool {
	return errors.Is(err, transfer.ErrInvalidDeadline) || errors.Is(err, transfer.ErrInvalidHold)
}
