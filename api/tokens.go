package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// Token is a credential of a client that has no certificate. The cluster keeps a hash of its secret.
type Token struct {
	Name    string
	Roles   []string
	Banks   []string // that it is bound to; empty: to none in particular
	Created time.Time
	Expires time.Time // zero: never
}

// TokenHash is SHA-256 of a secret. A secret is 256 random bits: nothing slower would make it harder to guess.
type TokenHash [sha256.Size]byte

// Tokens keeps the tokens.
type Tokens interface {
	// Tokens lists them by name, linearizably.
	Tokens(ctx context.Context) ([]Token, error)
	// AddToken lets one be used; ErrTokenExists.
	AddToken(ctx context.Context, t Token, hash TokenHash) error
	// RevokeToken ends one; ErrUnknownToken.
	RevokeToken(ctx context.Context, name string) error
	// FindToken looks a secret up, as far as this node has heard, without asking others.
	FindToken(hash TokenHash) (Token, bool)
}

// secretPrefix lets people, and programs that search for leaked secrets, see what a token is.
const (
	secretPrefix = "qt_"
	secretBytes  = 32
	bearer       = "Bearer "
)

// callerOfToken is who shows a token. The clock of this node says whether it has ended.
func callerOfToken(tokens Tokens, authorization []string) (*Caller, error) {
	secret, is := strings.CutPrefix(authorization[0], bearer)
	if len(authorization) != 1 || !is || !strings.HasPrefix(secret, secretPrefix) {
		return nil, fmt.Errorf("%w: the authorization must be one token, as \"Bearer %s…\"", transfer.ErrUnauthenticated, secretPrefix)
	}
	t, known := tokens.FindToken(sha256.Sum256([]byte(secret)))
	if !known {
		return nil, fmt.Errorf("%w: nobody knows this token; it may have been revoked", transfer.ErrUnauthenticated)
	}
	if !t.Expires.IsZero() && !time.Now().Before(t.Expires) {
		return nil, fmt.Errorf("%w: token %q has ended at %s", transfer.ErrUnauthenticated, t.Name, t.Expires.UTC().Format(time.RFC3339))
	}
	roles, err := ParseRoles(t.Roles)
	if err != nil {
		return nil, fmt.Errorf("%w: token %q: %w", transfer.ErrUnauthenticated, t.Name, err)
	}
	return &Caller{Name: t.Name, How: "token", Roles: roles, Banks: t.Banks}, nil
}

// createToken makes the secret, which is in the answer and nowhere else.
func (d *desk) createToken(ctx context.Context, t Token) (made Token, secret string, err error) {
	if err := checkToken(&t); err != nil {
		return t, "", err
	}
	var random [secretBytes]byte
	_, _ = rand.Read(random[:]) // it never fails: the program would end
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	t.Created = time.Now().UTC().Truncate(time.Second)
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	if err := d.backend.AddToken(ctx, t, sha256.Sum256([]byte(secret))); err != nil {
		return t, "", err
	}
	return t, secret, nil
}

func checkToken(t *Token) error {
	if err := transfer.ValidateName(t.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := checkReachable(t.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if strings.Contains(t.Name, ":") {
		return fmt.Errorf("%w: name: %q has a colon, which begins a verb in a path", transfer.ErrInvalidName, clip(t.Name))
	}
	if len(t.Roles) == 0 {
		return fmt.Errorf("%w: roles: there is none; one of submit, read, operate and admin is needed", transfer.ErrInvalidRequest)
	}
	if _, err := ParseRoles(t.Roles); err != nil {
		return fmt.Errorf("%w: roles: %w", transfer.ErrInvalidRequest, err)
	}
	for _, b := range t.Banks {
		if err := transfer.ValidateName(b); err != nil {
			return fmt.Errorf("banks: %w", err)
		}
	}
	if t.Expires = t.Expires.UTC().Truncate(time.Second); !t.Expires.IsZero() && !t.Expires.After(time.Now()) {
		return fmt.Errorf("%w: expires_at: %s is over", transfer.ErrInvalidRequest, t.Expires.Format(time.RFC3339))
	}
	return nil
}

func (d *desk) tokens(ctx context.Context) ([]Token, error) {
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.Tokens(ctx)
}

func (d *desk) revokeToken(ctx context.Context, name string) error {
	if err := transfer.ValidateName(name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.RevokeToken(ctx, name)
}

type tokenService struct {
	adminv1.UnimplementedTokenServiceServer
	desk *desk
}

func (s *tokenService) CreateToken(ctx context.Context, r *adminv1.CreateTokenRequest) (*adminv1.CreateTokenResponse, error) {
	t := Token{Name: r.GetName(), Roles: r.GetRoles(), Banks: r.GetBanks()}
	var err error
	if t.Expires, err = timeOfProto(r.GetExpiresAt()); err != nil {
		return nil, err
	}
	made, secret, err := s.desk.createToken(ctx, t)
	if err != nil {
		return nil, err
	}
	return &adminv1.CreateTokenResponse{Token: tokenToProto(&made), Secret: secret}, nil
}

func (s *tokenService) ListTokens(ctx context.Context, _ *adminv1.ListTokensRequest) (*adminv1.ListTokensResponse, error) {
	tokens, err := s.desk.tokens(ctx)
	if err != nil {
		return nil, err
	}
	out := &adminv1.ListTokensResponse{}
	for i := range tokens {
		out.Tokens = append(out.Tokens, tokenToProto(&tokens[i]))
	}
	return out, nil
}

func (s *tokenService) RevokeToken(ctx context.Context, r *adminv1.RevokeTokenRequest) (*adminv1.RevokeTokenResponse, error) {
	return &adminv1.RevokeTokenResponse{}, s.desk.revokeToken(ctx, r.GetName())
}

func tokenToProto(t *Token) *adminv1.Token {
	p := &adminv1.Token{Name: t.Name, Roles: t.Roles, Banks: t.Banks, CreatedAt: timestamppb.New(t.Created)}
	if !t.Expires.IsZero() {
		p.ExpiresAt = timestamppb.New(t.Expires)
	}
	return p
}

// tokenJSON is a Token over HTTP.
type tokenJSON struct {
	Name    string     `json:"name"`
	Roles   []string   `json:"roles" nullable:"false"`
	Banks   []string   `json:"banks" nullable:"false" doc:"That it is bound to; empty: to none in particular."`
	Created time.Time  `json:"created_at"`
	Expires *time.Time `json:"expires_at" doc:"null: it never ends."`
}

type tokenListJSON struct {
	Data []tokenJSON `json:"data" nullable:"false"`
}

type tokenSpecJSON struct {
	Name    string     `json:"name"`
	Roles   []string   `json:"roles" nullable:"false" doc:"submit, read, operate or admin; at least one."`
	Banks   []string   `json:"banks,omitempty"`
	Expires *time.Time `json:"expires_at,omitempty" doc:"RFC 3339. Without it the token never ends."`
}

type newTokenJSON struct {
	Token  tokenJSON `json:"token"`
	Secret string    `json:"secret" doc:"It is nowhere else: the cluster keeps a hash."`
}

func (w *web) registerTokens(api huma.API) {
	add(w, api, http.MethodPost, "/v1/tokens", "createToken", "Make an API token", http.StatusCreated, w.createToken)
	add(w, api, http.MethodGet, "/v1/tokens", "listTokens", "List the API tokens by name", http.StatusOK, w.listTokens)
	add(w, api, http.MethodPost, verbPath("/v1/tokens/{name}", "revoke"), "revokeToken", "End an API token", http.StatusNoContent, w.revokeToken)
	nameVerb(api, "/v1/tokens/{name}", "revoke")
}

func (w *web) createToken(ctx context.Context, in *body[tokenSpecJSON]) (*body[newTokenJSON], error) {
	t := Token{Name: in.Body.Name, Roles: in.Body.Roles, Banks: in.Body.Banks}
	if in.Body.Expires != nil {
		var err error
		if t.Expires, err = checkTime(*in.Body.Expires); err != nil {
			return nil, err
		}
	}
	made, secret, err := w.desk.createToken(ctx, t)
	if err != nil {
		return nil, err
	}
	return &body[newTokenJSON]{newTokenJSON{Token: tokenToJSON(&made), Secret: secret}}, nil
}

func (w *web) listTokens(ctx context.Context, _ *none) (*body[tokenListJSON], error) {
	tokens, err := w.desk.tokens(ctx)
	if err != nil {
		return nil, err
	}
	out := tokenListJSON{Data: []tokenJSON{}}
	for i := range tokens {
		out.Data = append(out.Data, tokenToJSON(&tokens[i]))
	}
	return &body[tokenListJSON]{out}, nil
}

type tokenInput struct {
	Name string `path:"name"`
}

func (w *web) revokeToken(ctx context.Context, in *tokenInput) (*none, error) {
	return nil, w.desk.revokeToken(ctx, in.Name)
}

func tokenToJSON(t *Token) tokenJSON {
	j := tokenJSON{Name: t.Name, Roles: append([]string{}, t.Roles...), Banks: append([]string{}, t.Banks...), Created: t.Created}
	if !t.Expires.IsZero() {
		j.Expires = &t.Expires
	}
	return j
}
