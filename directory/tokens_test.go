package directory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/transfer"
)

func TestTokensComeAndGo(t *testing.T) {
	h := newHost(t)
	many := make([]directory.Fact, directory.TokensMax)
	for i := range many {
		many[i] = token(fmt.Sprintf("t%d", i), byte(i))
	}
	wide := token("wide", 1)
	wide.AddToken.Banks = make([]string, directory.TokenBanksMax+1)
	for _, step := range []struct {
		name string
		do   []directory.Fact
		want error
		left int
	}{
		{"one", []directory.Fact{token("a", 1)}, nil, 1},
		{"the same once more, as a request that was sent twice", []directory.Fact{token("a", 1)}, nil, 1},
		{"another secret under the name", []directory.Fact{token("a", 2)}, transfer.ErrTokenExists, 1},
		{"no name", []directory.Fact{token("", 2)}, transfer.ErrInvalidName, 1},
		{"too many banks", []directory.Fact{wide}, transfer.ErrInvalidRequest, 1},
		{"nobody's", []directory.Fact{revoke("b")}, transfer.ErrUnknownToken, 1},
		{"it is revoked", []directory.Fact{revoke("a")}, nil, 0},
		{"and its name is free", []directory.Fact{token("a", 2)}, nil, 1},
		{"and revoked again", []directory.Fact{revoke("a")}, nil, 0},
		{"as many as there may be", many, nil, directory.TokensMax},
		{"one more", []directory.Fact{token("a", 1)}, transfer.ErrInvalidRequest, directory.TokensMax},
	} {
		if err := h.do(step.do...); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
		if got := len(h.Tokens()); got != step.left {
			t.Errorf("%s: %d tokens, want %d", step.name, got, step.left)
		}
	}
}
