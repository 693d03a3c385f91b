package directory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/transfer"
)

// Bounds of the tokens.
const (
	TokensMax     = 1000
	TokenBanksMax = 64
)

// Token is a credential of a client: who shows what hashes to Hash is Name, with these roles. The secret itself is nowhere.
type Token struct {
	Name    string
	Hash    [32]byte // SHA-256 of the secret
	Roles   []string // what they mean is the faces' business
	Banks   []string // that it is bound to; empty: to none in particular
	Created int64    // seconds since 1970
	Expires int64    // likewise; zero: never. Whoever is shown the token looks at the clock
}

// Tokens lists the tokens, by name. It is shared and must not be changed.
func (m *Machine) Tokens() []Token { return m.tokens }

func (m *Machine) token(name string) (at int, found bool) {
	return slices.BinarySearchFunc(m.tokens, name, func(t Token, name string) int { return strings.Compare(t.Name, name) })
}

func (m *Machine) checkToken(t *Token) error {
	if err := transfer.ValidateName(t.Name); err != nil {
		return err
	}
	if at, found := m.token(t.Name); found && m.tokens[at].Hash == t.Hash {
		return nil // the same request once more
	} else if found {
		return fmt.Errorf("%w: %s", transfer.ErrTokenExists, t.Name)
	}
	switch {
	case len(m.tokens) >= TokensMax:
		return fmt.Errorf("%w: there are %d tokens, and a cluster has at most as many: revoke some first", transfer.ErrInvalidRequest, TokensMax)
	case len(t.Banks) > TokenBanksMax:
		return fmt.Errorf("%w: a token is bound to at most %d banks, not %d", transfer.ErrInvalidRequest, TokenBanksMax, len(t.Banks))
	}
	return nil
}

func (m *Machine) addToken(t *Token) {
	at, found := m.token(t.Name)
	if found {
		return
	}
	m.tokens = slices.Insert(slices.Clone(m.tokens), at, *t)
}

func (m *Machine) checkRevoke(name string) error {
	if _, found := m.token(name); !found {
		return fmt.Errorf("%w: %s", transfer.ErrUnknownToken, name)
	}
	return nil
}

func (m *Machine) revoke(name string) {
	at, _ := m.token(name)
	m.tokens = slices.Delete(slices.Clone(m.tokens), at, at+1)
}
