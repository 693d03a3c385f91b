package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/client"
)

// reachTimeout is how long explaining an error may look for a server.
const reachTimeout = 500 * time.Millisecond

// sayUnreached and sayLate are what time that is up may have meant: that no server is there, or that those that are don't get it done.
var (
	sayUnreached, _, _ = strings.Cut(client.ErrUnreachable.Meaning, ";")
	sayLate            = "no node of the cluster has answered in time"
)

// lateNotAway says of an error which the client puts as "could not be reached" that somebody does listen there: a node that has no majority, say. The client
// knows only that its last attempt got no answer.
func lateNotAway(cmd *cobra.Command, err error) bool {
	if !errors.Is(err, client.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) || adviceForTLS(err.Error()) != "" {
		return false
	}
	servers, err := serversOf(cmd)
	if err != nil {
		return false
	}
	connected := make(chan bool, len(servers))
	for _, address := range servers {
		go func() { // ends by its timeout
			conn, err := net.DialTimeout("tcp", address, reachTimeout)
			if err == nil {
				_ = conn.Close() // nothing was said
			}
			connected <- err == nil
		}()
	}
	for range servers {
		if <-connected {
			return true
		}
	}
	return false
}
