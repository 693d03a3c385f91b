package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// Token is the credential of a client that has no certificate.
type Token struct {
	Name    string
	Roles   []string  // submit, read, operate, admin
	Banks   []string  // that it is bound to; empty: to none in particular
	Created time.Time // set by the cluster
	Expires time.Time // zero: never
}

// CreateToken makes a token and returns its secret, which is nowhere else. transfer.ErrTokenExists, also if an answer was lost on the way: then
// revoke the name and create it again.
func (c *Client) CreateToken(ctx context.Context, t Token) (made Token, secret string, err error) {
	request := &adminv1.CreateTokenRequest{Name: t.Name, Roles: t.Roles, Banks: t.Banks}
	if !t.Expires.IsZero() {
		request.ExpiresAt = timestamppb.New(t.Expires)
	}
	err = c.change(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.tokens.CreateToken(ctx, request, options...)
		made, secret = tokenOf(answer.GetToken()), answer.GetSecret()
		return err
	})
	return made, secret, err
}

// Tokens lists the tokens by name, those that have ended, too.
func (c *Client) Tokens(ctx context.Context) (tokens []Token, err error) {
	err = c.ask(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		answer, err := n.tokens.ListTokens(ctx, &adminv1.ListTokensRequest{}, options...)
		tokens = nil
		for _, t := range answer.GetTokens() {
			tokens = append(tokens, tokenOf(t))
		}
		return err
	})
	return tokens, err
}

// RevokeToken ends a token; transfer.ErrUnknownToken. Every node refuses it as soon as it has heard of that. It is transfer.ErrOutcomeUnknown if an answer
// was lost.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	happen, err := c.repeat(ctx, func(ctx context.Context, n *node, options ...grpc.CallOption) error {
		_, err := n.tokens.RevokeToken(ctx, &adminv1.RevokeTokenRequest{Name: name}, options...)
		return err
	})
	if happen && errors.Is(err, transfer.ErrUnknownToken) {
		return nil // by an attempt whose answer was lost
	}
	return ofChange(happen, err)
}

func tokenOf(p *adminv1.Token) Token {
	t := Token{Name: p.GetName(), Roles: p.GetRoles(), Banks: p.GetBanks()}
	if p.GetCreatedAt() != nil {
		t.Created = p.GetCreatedAt().AsTime()
	}
	if p.GetExpiresAt() != nil {
		t.Expires = p.GetExpiresAt().AsTime()
	}
	return t
}

// WithTokenFile has every call show the token in a file, which is read anew each time: it may be replaced. Streams that began with the old token are begun anew
// when a node refuses that. Connections have to be secured, see WithTLS; there only the authority is needed then. While the file can't be read, nothing is sent: transfer.ErrUnauthenticated.
func WithTokenFile(file string) Option {
	return WithToken(TokenFile(file))
}

// WithToken has every call prove who asks, in a way of one's own.
func WithToken(token credentials.PerRPCCredentials) Option {
	return func(s *settings) { s.token = token }
}

// TokenFile shows on a gRPC connection what WithTokenFile shows.
func TokenFile(file string) credentials.PerRPCCredentials { return tokenFile(file) }

type tokenFile string

// GetRequestMetadata is asked for every call.
func (f tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || strings.ContainsAny(secret, " \t\r\n") {
		return nil, errors.New(string(f) + " holds no token: it should be one word")
	}
	return map[string]string{"authorization": "Bearer " + secret}, nil
}

// RequireTransportSecurity says that a token is never shown in the clear.
func (f tokenFile) RequireTransportSecurity() bool { return true }
