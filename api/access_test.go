package api_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/pki"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// TestEveryOperationSaysWhoMayAskForIt reads the operations of both faces from what they say of themselves.
func TestEveryOperationSaysWhoMayAskForIt(t *testing.T) {
	w := open(t, func(c *api.Config) {
		c.Admin = noAdmin{}
		c.Reflection = true
	})
	offered := map[string]bool{}
	for _, method := range api.MethodsForTest(w.srv) {
		offered[api.OperationOfForTest(method)] = true
	}
	var document struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(w.do("GET", "/openapi.json", "").body), &document); err != nil {
		t.Fatal(err)
	}
	for _, methods := range document.Paths {
		for _, operation := range methods {
			offered[operation.ID] = true
		}
	}
	if len(offered) < 10 {
		t.Fatalf("only %d operations were found", len(offered))
	}
	for operation := range offered {
		if !api.GrantedForTest(operation) {
			t.Errorf("%s has no line in the table of grants: nobody may ask for it", operation)
		}
	}
	for _, operation := range api.GrantsForTest() {
		isPath := strings.HasPrefix(operation, "/") || strings.Contains(operation, " ")
		if !isPath && !offered[operation] {
			t.Errorf("the table of grants has a line for %s, which no face offers", operation)
		}
	}
}

// noAdmin answers operators with nothing.
type noAdmin struct{ api.Verifier }

func (noAdmin) HoldCommits(context.Context, transfer.BankID, uint64, time.Duration) error { return nil }

func (noAdmin) Cut(context.Context, string, uint64) (api.Cut, error) {
	return nil, transfer.ErrNoLeader
}

// guarded is both faces of a fake node behind TLS, and the office that makes its certificates.
type guarded struct {
	*world
	dir       string
	authority *pki.Authority
	keys      *pki.Keys // of the node
	grpcAt    string
	httpAt    string
}

func openGuarded(t *testing.T, change func(*api.Config)) *guarded {
	t.Helper()
	g := &guarded{dir: t.TempDir()}
	pair, err := pki.NewAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, err := pair.Write(g.dir, "ca", false)
	if err != nil {
		t.Fatal(err)
	}
	if g.authority, err = pki.LoadAuthority(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	if pair, err = g.authority.NewNode(1, []string{"127.0.0.1"}, time.Now(), time.Hour); err != nil {
		t.Fatal(err)
	}
	g.keys = g.keep(t, "node1", pair)
	g.world = open(t, func(c *api.Config) {
		c.Keys, c.Admin = g.keys, noAdmin{}
		g.grpcAt, g.httpAt = c.GRPC.Addr().String(), "https://"+c.HTTP.Addr().String()
		if change != nil {
			change(c)
		}
	})
	return g
}

func (g *guarded) keep(t *testing.T, name string, pair pki.Pair) *pki.Keys {
	t.Helper()
	certFile, keyFile, err := pair.Write(g.dir, name, true)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pki.Load(pki.Files{CA: filepath.Join(g.dir, "ca.pem"), Cert: certFile, Key: keyFile}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// caller is one client of a guarded node.
type caller struct {
	conn *grpc.ClientConn
	web  *world // for its do
}

func (g *guarded) as(t *testing.T, id pki.Identity) *caller {
	t.Helper()
	if id.Client == "" && id.Node == 0 {
		keys, err := pki.Load(pki.Files{CA: filepath.Join(g.dir, "ca.pem")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return g.with(t, keys)
	}
	var pair pki.Pair
	var err error
	if id.Node != 0 {
		pair, err = g.authority.NewNode(id.Node, nil, time.Now(), time.Hour)
	} else {
		pair, err = g.authority.NewClient(id, time.Now(), time.Hour)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g.with(t, g.keep(t, "caller", pair))
}

func (g *guarded) with(t *testing.T, keys *pki.Keys) *caller {
	t.Helper()
	conn, err := grpc.NewClient(g.grpcAt, grpc.WithTransportCredentials(credentials.NewTLS(keys.Client())), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	web := &world{t: t, url: g.httpAt, http: &http.Client{Transport: &http.Transport{TLSClientConfig: keys.Client(), ForceAttemptHTTP2: true}}}
	t.Cleanup(func() {
		_ = conn.Close()
		web.http.CloseIdleConnections()
	})
	return &caller{conn, web}
}

// asks are the operations of both faces, as somebody asks for them.
var asks = map[string]struct {
	grpc func(context.Context, *grpc.ClientConn) error
	http [3]string // method, path, body; "": there is no such operation
}{
	"submitTransfer": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewTransferServiceClient(c).SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{Transfer: spec(idText)})
		return err
	}, [3]string{"POST", "/v1/transfers", oneTransfer}},
	"getTransfer": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewTransferServiceClient(c).GetTransfer(ctx, &quoratev1.GetTransferRequest{Id: idText})
		return err
	}, [3]string{"GET", "/v1/transfers/" + idText, ""}},
	"cancelTransfer": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewTransferServiceClient(c).CancelTransfer(ctx, &quoratev1.CancelTransferRequest{Id: idText})
		return err
	}, [3]string{"POST", "/v1/transfers/" + idText + ":cancel", ""}},
	"listTransfers": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewTransferServiceClient(c).ListTransfers(ctx, &quoratev1.ListTransfersRequest{Bank: "HOME"})
		return err
	}, [3]string{"GET", "/v1/transfers?bank=HOME", ""}},
	"watchTransfers": {func(ctx context.Context, c *grpc.ClientConn) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := quoratev1.NewTransferServiceClient(c).WatchTransfers(ctx, &quoratev1.WatchTransfersRequest{Bank: "HOME"})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}, [3]string{"GET", "/v1/events?bank=HOME&position=nonsense", ""}}, // who may ask for it hears that this is no position
	"listInDoubt": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewTransferServiceClient(c).ListInDoubt(ctx, &quoratev1.ListInDoubtRequest{})
		return err
	}, [3]string{"GET", "/v1/in-doubt", ""}},
	"listBanks": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewStatusServiceClient(c).ListBanks(ctx, &quoratev1.ListBanksRequest{})
		return err
	}, [3]string{"GET", "/v1/banks", ""}},
	"openAccount": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewAccountServiceClient(c).OpenAccount(ctx, &quoratev1.OpenAccountRequest{Bank: "HOME", Account: "x", Currency: "CZK"})
		return err
	}, [3]string{"POST", "/v1/banks/HOME/accounts", `{"id":"x","currency":"CZK"}`}},
	"freezeAccount": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewAccountServiceClient(c).FreezeAccount(ctx, &quoratev1.FreezeAccountRequest{Bank: "HOME", Account: "alice"})
		return err
	}, [3]string{"POST", "/v1/banks/HOME/accounts/alice:freeze", ""}},
	"getStatement": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewAccountServiceClient(c).GetStatement(ctx, &quoratev1.GetStatementRequest{Bank: "HOME", Account: "alice"})
		return err
	}, [3]string{"GET", "/v1/banks/HOME/accounts/alice/entries", ""}},
	"getAccount": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewAccountServiceClient(c).GetAccount(ctx, &quoratev1.GetAccountRequest{Bank: "HOME", Account: "alice"})
		return err
	}, [3]string{"GET", "/v1/banks/HOME/accounts/alice", ""}},
	"listEntries": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewAccountServiceClient(c).ListEntries(ctx, &quoratev1.ListEntriesRequest{Bank: "HOME"})
		return err
	}, [3]string{"GET", "/v1/banks/HOME/entries", ""}},
	"auditBank": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewStatusServiceClient(c).AuditBank(ctx, &quoratev1.AuditBankRequest{Bank: "HOME"})
		return err
	}, [3]string{"GET", "/v1/banks/HOME/audit", ""}},
	"getStatus": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := quoratev1.NewStatusServiceClient(c).GetStatus(ctx, &quoratev1.GetStatusRequest{})
		return err
	}, [3]string{"GET", "/v1/status", ""}},
	"listMembers": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewClusterServiceClient(c).ListMembers(ctx, &adminv1.ListMembersRequest{})
		return err
	}, [3]string{"GET", "/v1/cluster/members", ""}},
	"addMember": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewClusterServiceClient(c).AddMember(ctx, &adminv1.AddMemberRequest{Node: 4, Peer: "127.0.0.1:1"})
		return err
	}, [3]string{"POST", "/v1/cluster:addMember", `{"node":4,"peer":"127.0.0.1:1","grpc":"","http":""}`}},
	"promoteMember": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewClusterServiceClient(c).PromoteMember(ctx, &adminv1.PromoteMemberRequest{Node: 4})
		return err
	}, [3]string{"POST", "/v1/cluster:promoteMember", `{"node":4}`}},
	"removeMember": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewClusterServiceClient(c).RemoveMember(ctx, &adminv1.RemoveMemberRequest{Node: 4})
		return err
	}, [3]string{"POST", "/v1/cluster:removeMember", `{"node":4}`}},
	"placeBank": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewClusterServiceClient(c).PlaceBank(ctx, &adminv1.PlaceBankRequest{Bank: "HOME", Nodes: []uint64{1}})
		return err
	}, [3]string{"POST", "/v1/cluster:placeBank", `{"bank":"HOME","nodes":[1]}`}},
	"transferLeader": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewClusterServiceClient(c).TransferLeader(ctx, &adminv1.TransferLeaderRequest{Group: "bank/HOME", Node: 2})
		return err
	}, [3]string{"POST", "/v1/cluster:transferLeader", `{"group":"bank/HOME","node":2}`}},
	"createToken": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewTokenServiceClient(c).CreateToken(ctx, &adminv1.CreateTokenRequest{Name: "new", Roles: []string{"read"}})
		return err
	}, [3]string{"POST", "/v1/tokens", `{"name":"new","roles":["read"]}`}},
	"listTokens": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewTokenServiceClient(c).ListTokens(ctx, &adminv1.ListTokensRequest{})
		return err
	}, [3]string{"GET", "/v1/tokens", ""}},
	"holdCommits": {func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := adminv1.NewBackupServiceClient(c).HoldCommits(ctx, &adminv1.HoldCommitsRequest{Bank: "HOME"})
		return err
	}, [3]string{}},
	"a path that leads to nothing": {nil, [3]string{"GET", "/v1/nothing", ""}},
	"/openapi.json":                {nil, [3]string{"GET", "/openapi.json", ""}},
}

// TestRolesDecide has every kind of caller ask for everything over both faces.
func TestRolesDecide(t *testing.T) {
	everything := []string{}
	for name := range asks {
		everything = append(everything, name)
	}
	aboutAllBanks := map[string]bool{"listInDoubt": true, "holdCommits": true, "addMember": true, "promoteMember": true, "removeMember": true, "placeBank": true, "transferLeader": true, "createToken": true, "listTokens": true}
	operating := []string{"openAccount", "freezeAccount", "transferLeader", "holdCommits", "listTokens"}
	looking := []string{"getTransfer", "getStatus", "listBanks", "a path that leads to nothing", "/openapi.json"}
	reading := append([]string{"getAccount", "getStatement", "listEntries", "auditBank", "listMembers", "listTransfers", "watchTransfers", "listInDoubt"}, looking...)
	unbound := slices.DeleteFunc(slices.Clone(everything), func(name string) bool { return aboutAllBanks[name] })
	g := openGuarded(t, nil)
	for name, c := range map[string]struct {
		id  pki.Identity
		may []string
		no  codes.Code
	}{
		"nobody":                     {pki.Identity{}, nil, codes.Unauthenticated},
		"a node":                     {pki.Identity{Node: 2}, nil, codes.Unauthenticated},
		"a role of tomorrow":         {pki.Identity{Client: "c", Roles: []string{"dream"}}, nil, codes.Unauthenticated},
		"no role":                    {pki.Identity{Client: "c"}, nil, codes.PermissionDenied},
		"submit":                     {pki.Identity{Client: "c", Roles: []string{"submit"}}, append([]string{"submitTransfer", "cancelTransfer"}, looking...), codes.PermissionDenied},
		"read":                       {pki.Identity{Client: "c", Roles: []string{"read"}}, reading, codes.PermissionDenied},
		"operate":                    {pki.Identity{Client: "c", Roles: []string{"operate"}}, append(operating, reading...), codes.PermissionDenied},
		"admin":                      {pki.Identity{Client: "c", Roles: []string{"admin"}}, everything, codes.OK},
		"submit and read":            {pki.Identity{Client: "c", Roles: []string{"submit", "read"}}, append([]string{"submitTransfer", "cancelTransfer"}, reading...), codes.PermissionDenied},
		"admin bound to both banks":  {pki.Identity{Client: "c", Roles: []string{"admin"}, Banks: []string{"HOME", "CITY"}}, unbound, codes.PermissionDenied},
		"submit bound to one":        {pki.Identity{Client: "c", Roles: []string{"submit"}, Banks: []string{"HOME"}}, looking, codes.PermissionDenied},
		"read bound to another bank": {pki.Identity{Client: "c", Roles: []string{"read"}, Banks: []string{"OTHER"}}, []string{"getStatus", "listMembers", "listBanks", "a path that leads to nothing", "/openapi.json"}, codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			who := g.as(t, c.id)
			for operation, ask := range asks {
				g.fake.set(func(f *fake) {
					f.seen, f.changes, f.tokens, f.known = nil, nil, map[api.TokenHash]api.Token{}, map[transfer.ID]transfer.Record{}
					f.known[mustID(t, idText)] = committed(order(t))
				})
				want, wantHTTP := c.no, map[codes.Code]int{codes.Unauthenticated: 401, codes.PermissionDenied: 403}[c.no]
				if slices.Contains(c.may, operation) {
					want, wantHTTP = codes.OK, 0
				}
				if ask.grpc != nil {
					if got := status.Code(ask.grpc(context.Background(), who.conn)); got != want {
						t.Errorf("%s over gRPC: %v, want %v", operation, got, want)
					}
				}
				if ask.http[0] != "" {
					r := who.web.do(ask.http[0], ask.http[1], ask.http[2])
					if wantHTTP != 0 && r.status != wantHTTP || wantHTTP == 0 && (r.status == 401 || r.status == 403 || r.status >= 500) {
						t.Errorf("%s over HTTP: %d %s, want %d", operation, r.status, r.body, wantHTTP)
					}
				}
				var seen int
				g.fake.set(func(f *fake) { seen = len(f.seen) + len(f.changes) + len(f.tokens) })
				if want != codes.OK && seen > 0 {
					t.Errorf("%s was refused and carried out", operation)
				}
			}
		})
	}
}

func mustID(t *testing.T, text string) transfer.ID {
	t.Helper()
	id, err := transfer.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// order is the transfer of oneTransfer.
func order(t *testing.T) transfer.Transfer {
	t.Helper()
	return transfer.Transfer{ID: mustID(t, idText), Reference: "rent", Legs: []transfer.Leg{
		{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 1050, Currency: "CZK"},
		{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 1050, Currency: "CZK"},
	}}
}

// TestABoundCallerIsBoundEverywhere tries the ways on which a transfer's banks are seen only later: a batch, one that is waited for in the
// background, and a cancel.
func TestABoundCallerIsBoundEverywhere(t *testing.T) {
	g := openGuarded(t, nil)
	who := g.as(t, pki.Identity{Client: "c", Roles: []string{"submit"}, Banks: []string{"HOME"}})
	transfers := quoratev1.NewTransferServiceClient(who.conn)
	within := spec("")
	within.Legs[1].Bank = "HOME"
	answer, err := transfers.SubmitTransfers(context.Background(), &quoratev1.SubmitTransfersRequest{Transfers: []*quoratev1.TransferSpec{spec(idText), within}})
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.GetResults()[0].GetError().GetCode(); got != "forbidden" {
		t.Errorf("a transfer to another bank: %v", answer.GetResults()[0])
	}
	if answer.GetResults()[1].GetTransfer() == nil {
		t.Errorf("a transfer within the bank: %v", answer.GetResults()[1])
	}
	for _, wait := range []string{"0", "5"} {
		if r := who.web.do("POST", "/v1/transfers", oneTransfer, "Prefer: wait="+wait); r.status != 403 {
			t.Errorf("with Prefer: wait=%s: %d %s", wait, r.status, r.body)
		}
	}
	g.fake.set(func(f *fake) { f.known[mustID(t, idText)] = committed(order(t)) })
	if _, err := transfers.CancelTransfer(context.Background(), &quoratev1.CancelTransferRequest{Id: idText}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("cancel: %v", err)
	}
}

func TestHealthIsForEverybody(t *testing.T) {
	g := openGuarded(t, nil)
	who := g.as(t, pki.Identity{})
	if _, err := healthv1.NewHealthClient(who.conn).Check(context.Background(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if r := who.web.do("GET", path, ""); r.status != 200 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// TestCertificatesThatAreNoGood comes with certificates that no handshake survives.
func TestCertificatesThatAreNoGood(t *testing.T) {
	g := openGuarded(t, nil)
	stranger := openGuarded(t, nil)
	root := pki.Identity{Client: "root", Roles: []string{"admin"}}
	expired, err := g.authority.NewClient(root, time.Now(), -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := stranger.authority.NewClient(root, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string]pki.Pair{"one that has ended": expired, "another authority's": foreign} {
		who := g.with(t, g.keep(t, "bad", pair))
		r, err := who.web.http.Get(g.httpAt + "/livez")
		if err == nil {
			_ = r.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: %s", name, r.Status)
		}
		if _, err := quoratev1.NewStatusServiceClient(who.conn).GetStatus(context.Background(), &quoratev1.GetStatusRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOldProtocolsAreRefused(t *testing.T) {
	g := openGuarded(t, nil)
	for _, address := range []string{g.grpcAt, strings.TrimPrefix(g.httpAt, "https://")} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s speaks TLS 1.2", address)
		}
	}
}

// TestAdministrativeActsAreLogged wants one line for each, carried out or not, and none for what isn't one.
func TestAdministrativeActsAreLogged(t *testing.T) {
	g := openGuarded(t, nil)
	operator := g.as(t, pki.Identity{Client: "night-shift", Roles: []string{"operate"}})
	for _, operation := range []string{"openAccount", "getAccount", "removeMember"} {
		ask := asks[operation]
		_ = ask.grpc(context.Background(), operator.conn) // what comes of it is tested elsewhere
		if ask.http[0] != "" {
			operator.web.do(ask.http[0], ask.http[1], ask.http[2], "Request-Id: over-http")
		}
	}
	admin := g.as(t, pki.Identity{Client: "vault", Roles: []string{"admin"}})
	cut, err := adminv1.NewBackupServiceClient(admin.conn).CutGroup(t.Context(), &adminv1.CutGroupRequest{Group: "bank/HOME"})
	if err == nil {
		_, err = cut.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("cut: %v", err)
	}
	var lines []string
	for _, line := range strings.Split(g.logs.String(), "\n") {
		if strings.Contains(line, "msg=audit") {
			lines = append(lines, line)
		}
	}
	want := []string{
		`who=night-shift how=certificate op=openAccount on="bank=HOME account=x" outcome=done request_id=`,
		`who=night-shift how=certificate op=openAccount on=/v1/banks/HOME/accounts outcome=done request_id=over-http`,
		`who=night-shift how=certificate op=removeMember on="node=4" outcome=forbidden request_id=`,
		`who=night-shift how=certificate op=removeMember on=/v1/cluster:removeMember outcome=forbidden request_id=`,
		`who=vault how=certificate op=cutGroup on="group=bank/HOME" outcome=no_leader request_id=`,
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) {
			t.Errorf("got %s, want %s", line, want[i])
		}
	}
}

// TestWhoAsksTooOftenIsToldToWait asks until it is refused. Another caller isn't.
func TestWhoAsksTooOftenIsToldToWait(t *testing.T) {
	count := api.NewMetrics()
	g := openGuarded(t, func(c *api.Config) {
		c.RequestsPerSecond = 1
		c.Metrics = count
	})
	eager := g.as(t, pki.Identity{Client: "eager", Roles: []string{"read"}})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := asks["getStatus"].grpc(ctx, eager.conn)
		if err == nil {
			continue
		}
		s := status.Convert(err)
		if s.Code() != codes.ResourceExhausted {
			t.Fatal(err)
		}
		var wait time.Duration
		for _, d := range s.Details() {
			if info, is := d.(*errdetails.RetryInfo); is {
				wait = info.GetRetryDelay().AsDuration()
			}
		}
		if wait <= 0 || wait > time.Second {
			t.Errorf("told to wait %v", wait)
		}
		break
	}
	for {
		r := eager.web.do("GET", "/v1/status", "")
		if r.status == 200 && ctx.Err() == nil {
			continue
		}
		if r.status != 429 || r.header.Get("Retry-After") != "1" || r.fields(t)["code"] != "rate_limited" {
			t.Errorf("%d %v %s", r.status, r.header, r.body)
		}
		break
	}
	if err := asks["getStatus"].grpc(ctx, g.as(t, pki.Identity{Client: "patient", Roles: []string{"read"}}).conn); err != nil {
		t.Error(err)
	}
	if got := valueOf(t, count, "quorate_admission_rejected_total", "rate_limited"); got < 2 {
		t.Errorf("counted %v refusals", got)
	}
}

// TestABatchCountsAsItsTransfers has one batch use up what a caller may ask for.
func TestABatchCountsAsItsTransfers(t *testing.T) {
	g := openGuarded(t, func(c *api.Config) { c.RequestsPerSecond = 100 })
	transfers := quoratev1.NewTransferServiceClient(g.as(t, pki.Identity{Client: "c", Roles: []string{"submit"}}).conn)
	batch := &quoratev1.SubmitTransfersRequest{}
	for range 100 {
		batch.Transfers = append(batch.Transfers, spec(""))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ctx.Err() == nil {
		answer, err := transfers.SubmitTransfers(ctx, batch)
		if err != nil {
			if status.Code(err) == codes.ResourceExhausted {
				return
			}
			t.Fatal(err)
		}
		if e := answer.GetResults()[0].GetError(); e != nil {
			if e.GetCode() != string(transfer.ErrRateLimited.Code) || !e.GetRetryable() {
				t.Errorf("got %v", e)
			}
			return
		}
	}
	t.Error(errors.New("never refused"))
}

// TestABatchOfMoreThanASecondIsLetIn: it counts as a second's worth, and who waits as long as it is told comes in.
func TestABatchOfMoreThanASecondIsLetIn(t *testing.T) {
	for _, n := range []int{1, 2, 99, 100, 101, 8190} {
		ask, now := api.PaceForTest(100), epoch
		if wait := ask(now, n); wait != 0 {
			t.Errorf("%d transfers, and nothing before: told to wait %v", n, wait)
		}
		ask(now, 8190) // leaves little
		now = now.Add(50 * time.Millisecond)
		for told := 0; ; told++ {
			wait := ask(now, n)
			if wait == 0 {
				break
			}
			if told == 3 || wait > 2*time.Second {
				t.Fatalf("%d transfers: told %d times to wait, now %v", n, told+1, wait)
			}
			now = now.Add(wait)
		}
	}
}

// A caller who is bound to banks lists and watches what touches one of them, and has to say which.
func TestABoundCallerListsItsBanks(t *testing.T) {
	g := openGuarded(t, nil)
	who := g.as(t, pki.Identity{Client: "c", Roles: []string{"read"}, Banks: []string{"HOME"}})
	for query, want := range map[string]int{"": 403, "?bank=CITY": 403, "?account=alice": 403, "?bank=HOME": 200, "?bank=HOME&account=alice": 200} {
		if r := who.web.do("GET", "/v1/transfers"+query, ""); r.status != want {
			t.Errorf("/v1/transfers%s: %d %s", query, r.status, r.body)
		}
	}
	for _, query := range []string{"", "?bank=CITY"} {
		if r := who.web.do("GET", "/v1/events"+query, ""); r.status != 403 {
			t.Errorf("/v1/events%s: %d %s", query, r.status, r.body)
		}
	}
}
