package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
)

// sayAfter is how long a command waits in silence.
const sayAfter = 2 * time.Second

// caller is a command's connection to the cluster, for as long as the command may take.
type caller struct {
	*client.Client
	ctx    context.Context // ends with the command's time, or when it is interrupted
	cancel context.CancelFunc
	say    *time.Timer
}

// dial prepares to ask the servers that the command line names. usual is how long the command may take if nobody
// says otherwise. Hang up when done.
func dial(cmd *cobra.Command, usual time.Duration) (*caller, error) {
	servers, err := serversOf(cmd)
	if err != nil {
		return nil, err
	}
	return dialTo(cmd, servers, usual)
}

func dialTo(cmd *cobra.Command, servers []string, usual time.Duration) (*caller, error) {
	timeout, err := timeoutOr(cmd, usual)
	if err != nil {
		return nil, err
	}
	secure, err := credentialsOf(cmd, servers)
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(servers, secure.ofClient()...)
	if err != nil {
		return nil, misconfigured(err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	say := time.AfterFunc(sayAfter, func() { // stopped by hangUp
		fmt.Fprintf(cmd.ErrOrStderr(), "no answer yet from %s; trying for up to %v\n", strings.Join(servers, ", "), timeout)
	})
	if timeout <= sayAfter {
		say.Stop()
	}
	return &caller{Client: c, ctx: ctx, cancel: cancel, say: say}, nil
}

// timeoutOr is what the command line says, or what is usual.
func timeoutOr(cmd *cobra.Command, usual time.Duration) (time.Duration, error) {
	timeout, err := timeoutOf(cmd)
	if !cmd.Flags().Changed("timeout") {
		timeout = usual
	}
	return timeout, err
}

// wayTo is what the command line says of how the servers are reached, for commands that ask each of them by itself.
func wayTo(cmd *cobra.Command, usual time.Duration) (servers []string, timeout time.Duration, secure security, err error) {
	if servers, err = serversOf(cmd); err != nil {
		return nil, 0, secure, err
	}
	if timeout, err = timeoutOr(cmd, usual); err != nil {
		return nil, 0, secure, err
	}
	secure, err = credentialsOf(cmd, servers)
	return servers, timeout, secure, err
}

// withCluster has something asked of the servers that the command line names, within the usual time, and printed.
func withCluster(cmd *cobra.Command, do func(*printer, *caller) error) error {
	p, err := newPrinter(cmd)
	if err != nil {
		return err
	}
	c, err := dial(cmd, timeoutDefault)
	if err != nil {
		return err
	}
	defer c.hangUp()
	return do(p, c)
}

func (c *caller) hangUp() {
	c.say.Stop()
	c.cancel()
	_ = c.Close() // of connections that nobody uses any more
}
