package api_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/pki"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

// TestATokenIsACaller makes tokens with one face and shows them to both.
func TestATokenIsACaller(t *testing.T) {
	g := openGuarded(t, nil)
	admin := g.as(t, pki.Identity{Client: "root", Roles: []string{"admin"}})
	made, err := adminv1.NewTokenServiceClient(admin.conn).CreateToken(t.Context(), &adminv1.CreateTokenRequest{
		Name: "payroll", Roles: []string{"read"}, Banks: []string{"HOME"}, ExpiresAt: timestamppb.New(time.Now().Add(time.Hour)),
	})
	if err != nil {
		t.Fatal(err)
	}
	nobody := g.as(t, pki.Identity{})
	ask := func(secret, bank string) (overGRPC codes.Code, overHTTP int) {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+secret)
		_, err := quoratev1.NewAccountServiceClient(nobody.conn).GetAccount(ctx, &quoratev1.GetAccountRequest{Bank: bank, Account: "alice"})
		return status.Code(err), nobody.web.do("GET", "/v1/banks/"+bank+"/accounts/alice", "", "Authorization: Bearer "+secret).status
	}
	wants := func(what, secret, bank string, wantGRPC codes.Code, wantHTTP int) {
		t.Helper()
		if overGRPC, overHTTP := ask(secret, bank); overGRPC != wantGRPC || overHTTP != wantHTTP {
			t.Errorf("%s: %v and %d, want %v and %d", what, overGRPC, overHTTP, wantGRPC, wantHTTP)
		}
	}
	wants("a token", made.GetSecret(), "HOME", codes.OK, 200)
	wants("another bank", made.GetSecret(), "CITY", codes.PermissionDenied, 403)
	wants("half a token", made.GetSecret()[:20], "HOME", codes.Unauthenticated, 401)
	wants("the name of one", "qt_payroll", "HOME", codes.Unauthenticated, 401)
	wants("nothing", "", "HOME", codes.Unauthenticated, 401)

	// The secret is nowhere but in the answer.
	if listed := admin.web.do("GET", "/v1/tokens", ""); listed.status != 200 || strings.Contains(listed.body, made.GetSecret()) || !strings.Contains(listed.body, `"name":"payroll"`) {
		t.Errorf("listed: %d %s", listed.status, listed.body)
	}
	if strings.Contains(g.logs.String(), made.GetSecret()) {
		t.Error("the secret is in the log")
	}

	// A wrong token isn't made good by a certificate, and two are none.
	if r := admin.web.do("GET", "/v1/status", "", "Authorization: Bearer qt_nobody"); r.status != 401 {
		t.Errorf("a wrong token beside a certificate: %d", r.status)
	}
	two := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+made.GetSecret(), "authorization", "Bearer "+made.GetSecret())
	if _, err := quoratev1.NewStatusServiceClient(nobody.conn).GetStatus(two, &quoratev1.GetStatusRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("two tokens at once: %v", err)
	}

	g.fake.set(func(f *fake) {
		f.tokens[sha256.Sum256([]byte("qt_old"))] = api.Token{Name: "old", Roles: []string{"admin"}, Expires: time.Now().Add(-time.Second)}
		f.tokens[sha256.Sum256([]byte("qt_odd"))] = api.Token{Name: "odd", Roles: []string{"of-tomorrow"}}
	})
	wants("one that has ended", "qt_old", "HOME", codes.Unauthenticated, 401)
	wants("a role of tomorrow", "qt_odd", "HOME", codes.Unauthenticated, 401)

	if r := admin.web.do("POST", "/v1/tokens/payroll:revoke", ""); r.status != 204 {
		t.Fatalf("revoke: %d %s", r.status, r.body)
	}
	wants("one that was revoked", made.GetSecret(), "HOME", codes.Unauthenticated, 401)
	if r := admin.web.do("POST", "/v1/tokens/payroll:revoke", ""); r.status != 404 {
		t.Errorf("revoke again: %d %s", r.status, r.body)
	}
}

func TestTokensThatCantBe(t *testing.T) {
	w := open(t, nil)
	for body, code := range map[string]string{
		`{"name":"","roles":["read"]}`:                                      "invalid_name",
		`{"name":"a b","roles":["read"]}`:                                   "invalid_name",
		`{"name":"a:b","roles":["read"]}`:                                   "invalid_name",
		`{"name":".","roles":["read"]}`:                                     "invalid_name",
		`{"name":"..","roles":["read"]}`:                                    "invalid_name",
		`{"name":"a","roles":[]}`:                                           "invalid_request",
		`{"name":"a","roles":["king"]}`:                                     "invalid_request",
		`{"name":"a","roles":["read"],"banks":["no bank"]}`:                 "invalid_name",
		`{"name":"a","roles":["read"],"expires_at":"2001-01-01T00:00:00Z"}`: "invalid_request",
		`{"name":"a","roles":["read"],"expires_at":"9999-01-01T00:00:00Z"}`: "invalid_request",
		`{"name":"a","roles":["read"],"secret":"qt_mine"}`:                  "invalid_request",
	} {
		r := w.do("POST", "/v1/tokens", body)
		if r.status != 400 || r.fields(t)["code"] != code {
			t.Errorf("%s: %d %s, want %s", body, r.status, r.body, code)
		}
	}
	if len(w.fake.tokens) > 0 {
		t.Errorf("made %v", w.fake.tokens)
	}
	_, err := adminv1.NewTokenServiceClient(w.conn).CreateToken(context.Background(), &adminv1.CreateTokenRequest{Name: "a"})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("no role: %v", err)
	}
}
