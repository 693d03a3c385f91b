package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/pki"
	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
)

// TestAnAuthorityThatIsTakenAwayTakesItsClientsAlong: also those whose connections and watches are older.
func TestAnAuthorityThatIsTakenAwayTakesItsClientsAlong(t *testing.T) {
	g := openGuarded(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g.fake.set(func(f *fake) { f.silent = true })
	stolen := g.as(t, pki.Identity{Client: "payroll", Roles: []string{"submit", "read"}})
	ask := func() (overGRPC codes.Code, overHTTP int) {
		_, err := quoratev1.NewTransferServiceClient(stolen.conn).SubmitTransfer(ctx, &quoratev1.SubmitTransferRequest{Transfer: spec("")})
		return status.Code(err), stolen.web.do("POST", "/v1/transfers", "{"+legs+"}").status
	}
	if overGRPC, overHTTP := ask(); overGRPC != codes.OK || overHTTP != http.StatusCreated {
		t.Fatalf("before: %v, %d", overGRPC, overHTTP)
	}
	watch, err := quoratev1.NewTransferServiceClient(stolen.conn).WatchTransfers(ctx, &quoratev1.WatchTransfersRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	next, err := pki.NewAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := next.Write(g.dir, "ca", true); err != nil {
		t.Fatal(err)
	}
	if changed, err := g.keys.Reload(); !changed || err != nil {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if m, err := watch.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("its watch: %v, %v", m, err)
	}
	if overGRPC, overHTTP := ask(); overGRPC != codes.Unauthenticated || overHTTP != http.StatusUnauthorized {
		t.Errorf("afterwards: %v, %d", overGRPC, overHTTP)
	}
	certFile, keyFile, err := next.Write(t.TempDir(), "ca", false)
	if err != nil {
		t.Fatal(err)
	}
	if g.authority, err = pki.LoadAuthority(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	replaced, err := g.authority.NewClient(pki.Identity{Client: "payroll", Roles: []string{"submit"}}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	g.keep(t, "caller", replaced)
	waitFor(t, "its old connections are closed, and new ones show the new certificate", func() bool {
		overGRPC, overHTTP := ask()
		return overGRPC == codes.OK && overHTTP == http.StatusCreated
	})
}
