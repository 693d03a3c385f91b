package backend

import (
	"context"
	"time"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
)

// Tokens lists the API tokens.
func (b *Backend) Tokens(ctx context.Context) (out []api.Token, err error) {
	a := b.ask(ctx, lane.ListTokens{})
	for i := range a.Tokens {
		out = append(out, tokenOf(&a.Tokens[i]))
	}
	return out, a.Err
}

// AddToken lets a token be used.
func (b *Backend) AddToken(ctx context.Context, t api.Token, hash api.TokenHash) error {
	token := directory.Token{Name: t.Name, Hash: hash, Roles: t.Roles, Banks: t.Banks, Created: t.Created.Unix()}
	if !t.Expires.IsZero() {
		token.Expires = t.Expires.Unix()
	}
	return b.ask(ctx, lane.AddToken{Token: token}).Err
}

// RevokeToken ends a token.
func (b *Backend) RevokeToken(ctx context.Context, name string) error {
	return b.ask(ctx, lane.RevokeToken{Name: name}).Err
}

// FindToken looks a token up as far as this node has heard.
func (b *Backend) FindToken(hash api.TokenHash) (api.Token, bool) {
	t, found := b.node.Token(hash)
	if !found {
		return api.Token{}, false
	}
	return tokenOf(&t), true
}

func tokenOf(t *directory.Token) api.Token {
	out := api.Token{Name: t.Name, Roles: t.Roles, Banks: t.Banks, Created: time.Unix(t.Created, 0).UTC()}
	if t.Expires != 0 {
		out.Expires = time.Unix(t.Expires, 0).UTC()
	}
	return out
}
