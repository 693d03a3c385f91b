package linear

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// posting is one change of an account, or a look at it.
type posting struct {
	look  bool
	minor int64 // what was added, or seen
}

// Account is the model of one account's posted balance, from a moment at which it was known.
func Account(postedMinor int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return postedMinor },
		Step: func(state, input, _ any) (bool, any) {
			balance, p := state.(int64), input.(posting)
			if p.look {
				return balance == p.minor, balance
			}
			return true, balance + p.minor
		},
		DescribeOperation: func(input, _ any) string {
			if p := input.(posting); p.look {
				return fmt.Sprintf("posted → %d", p.minor)
			}
			return fmt.Sprintf("post %+d", input.(posting).minor)
		},
	}
}

// Posted is what a committed transfer adds to the account: once it was submitted, and before somebody saw it settled.
func Posted(s Span, minor int64) porcupine.Operation {
	return porcupine.Operation{ClientId: s.Client, Input: posting{minor: minor}, Call: s.Call, Return: s.Return}
}

// Looked is a read of the account's posted balance.
func Looked(s Span, minor int64) porcupine.Operation {
	return porcupine.Operation{ClientId: s.Client, Input: posting{look: true, minor: minor}, Call: s.Call, Return: s.Return}
}
