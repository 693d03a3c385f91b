package lane

import (
	"fmt"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/transfer"
)

// ListTokens reads the API tokens, at the leader of the cluster's group.
type ListTokens struct{}

// AddToken lets a new API token be used.
type AddToken struct{ Token directory.Token }

// RevokeToken ends one.
type RevokeToken struct{ Name string }

func (ListTokens) isAsk()  {}
func (AddToken) isAsk()    {}
func (RevokeToken) isAsk() {}

// serveToken has a change of the tokens proposed.
func (c *clusterHost) serveToken(w waiter, ask Ask) {
	switch a := ask.(type) {
	case AddToken:
		c.add(directory.Fact{AddToken: &a.Token}, w)
	case RevokeToken:
		if a.Name == "" {
			c.lane.answer(w, Answer{Err: fmt.Errorf("%w: it has no name", transfer.ErrUnknownToken)})
			return
		}
		c.add(directory.Fact{RevokeToken: a.Name}, w)
	}
}
