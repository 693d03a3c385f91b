package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

const promiseBack = "once all is healed, every node answers, within a bounded time"

// backWithin is how long a healed node may take until it answers, on a busy machine.
const backWithin = 60 * time.Second

// heal undoes everything and waits until every node answers.
func (c *cluster) heal(ctx context.Context) error {
	c.net.heal()
	for _, s := range c.servers {
		s.signal(syscall.SIGCONT, "")
		if err := s.disk.free(s.pid()); err != nil {
			return fmt.Errorf("give node %d its disk back: %w", s.id, err)
		}
		if err := s.start(); err != nil {
			return err
		}
	}
	if err := c.awaitReady(ctx, backWithin); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &violation{promiseBack, err.Error()}
	}
	return nil
}
