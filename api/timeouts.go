package api

import (
	"fmt"
	"time"

	"github.com/quorate/quorate/transfer"
)

// Timeouts say how long a transfer may take, from when a node has accepted it until it must be decided: Default if the client names no time,
// and from Min to Max if it does.
type Timeouts struct{ Default, Min, Max time.Duration }

// The longest time that a cluster may allow, and the shortest.
const (
	TimeoutMost  = 24 * time.Hour
	TimeoutLeast = time.Millisecond
)

// DefaultTimeouts are those of a cluster that configures none.
func DefaultTimeouts() Timeouts {
	return Timeouts{Default: 10 * time.Second, Min: TimeoutLeast, Max: time.Hour}
}

// filled puts the default where nothing was said.
func (t Timeouts) filled() Timeouts {
	d := DefaultTimeouts()
	for _, f := range []struct{ set, or *time.Duration }{{&t.Default, &d.Default}, {&t.Min, &d.Min}, {&t.Max, &d.Max}} {
		if *f.set == 0 {
			*f.set = *f.or
		}
	}
	return t
}

// Validate says what is wrong, naming the key of the configuration.
func (t Timeouts) Validate() error {
	t = t.filled()
	switch {
	case t.Min < TimeoutLeast || t.Min > TimeoutMost:
		return fmt.Errorf("timeout_min: %v. why: it must be from %v to %v", t.Min, TimeoutLeast, TimeoutMost)
	case t.Max < TimeoutLeast || t.Max > TimeoutMost:
		return fmt.Errorf("timeout_max: %v. why: it must be from %v to %v", t.Max, TimeoutLeast, TimeoutMost)
	case t.Min > t.Max:
		return fmt.Errorf("timeout_min: %v. why: it is above timeout_max, which is %v", t.Min, t.Max)
	case t.Default < t.Min || t.Default > t.Max:
		return fmt.Errorf("timeout_default: %v. why: it must be from timeout_min to timeout_max, which are %v and %v", t.Default, t.Min, t.Max)
	}
	return nil
}

func (t Timeouts) check(timeout time.Duration) error {
	if timeout < t.Min || timeout > t.Max {
		return fmt.Errorf("%w: got %v, and here a transfer may take from %v to %v", transfer.ErrInvalidDeadline, timeout, t.Min, t.Max)
	}
	return nil
}
