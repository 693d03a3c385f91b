package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/bank"
	adminv1 "github.com/quorate/quorate/proto/quorate/admin/v1"
	"github.com/quorate/quorate/transfer"
)

// fakeAdmin is an Admin that says what it was given.
type fakeAdmin struct {
	asked    string
	fail     error
	examined api.Examined
	found    []bank.Result
	contents []api.TransferContent
}

func (f *fakeAdmin) HoldCommits(context.Context, transfer.BankID, uint64, time.Duration) error {
	return f.fail
}

func (f *fakeAdmin) Cut(context.Context, string, uint64) (api.Cut, error) { return nil, f.fail }

func (f *fakeAdmin) HashReplica(_ context.Context, group string, index uint64) (api.ReplicaHash, error) {
	f.asked = fmt.Sprint(group, " at ", index)
	return api.ReplicaHash{Index: 7, Hash: 1<<63 | 5}, f.fail
}

func (f *fakeAdmin) ScanReplica(_ context.Context, group string) (api.ReplicaScan, error) {
	f.asked = group
	return api.ReplicaScan{Index: 8, Records: 9, Recorded: 10, Computed: 1<<63 | 11, Fault: "entry 3 comes where 2 should be"}, f.fail
}

func (f *fakeAdmin) Examine(_ context.Context, group string, hold uint64) (api.Examined, error) {
	f.asked = fmt.Sprint(group, " for ", hold)
	return f.examined, f.fail
}

func (f *fakeAdmin) FindTransfers(_ context.Context, at transfer.BankID, hold uint64, contents []api.TransferContent) ([]bank.Result, error) {
	f.asked, f.contents = fmt.Sprint(at, " for ", hold), contents
	return f.found, f.fail
}

func openAdmin(t *testing.T) (*fakeAdmin, adminv1.VerifyServiceClient) {
	t.Helper()
	admin := &fakeAdmin{}
	w := open(t, func(c *api.Config) { c.Admin = admin })
	return admin, adminv1.NewVerifyServiceClient(w.conn)
}

// examineAll reads a whole answer, and says in how many pieces it came.
func examineAll(ctx context.Context, client adminv1.VerifyServiceClient, r *adminv1.ExamineGroupRequest) (*adminv1.ExamineGroupResponse, int, error) {
	stream, err := client.ExamineGroup(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	all := &adminv1.ExamineGroupResponse{}
	for pieces := 0; ; pieces++ {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, pieces, nil
		}
		if err != nil {
			return nil, pieces, err
		}
		if pieces == 0 {
			all.Index, all.Totals = m.GetIndex(), m.GetTotals()
		}
		all.Unsettled, all.Holds = append(all.Unsettled, m.GetUnsettled()...), append(all.Holds, m.GetHolds()...)
	}
}

func TestAReplicaIsHashedAndScanned(t *testing.T) {
	admin, client := openAdmin(t)
	h, err := client.HashReplica(t.Context(), &adminv1.HashReplicaRequest{Group: "bank/HOME", Index: 7})
	if err != nil || admin.asked != "bank/HOME at 7" || h.GetIndex() != 7 || h.GetHash() != 1<<63|5 {
		t.Errorf("asked %q, got %v, %v", admin.asked, h, err)
	}
	s, err := client.ScanReplica(t.Context(), &adminv1.ScanReplicaRequest{Group: "coordinator/0"})
	if err != nil || admin.asked != "coordinator/0" || s.GetIndex() != 8 || s.GetRecords() != 9 || s.GetRecorded() != 10 || s.GetComputed() != 1<<63|11 || !strings.Contains(s.GetFault(), "entry 3") {
		t.Errorf("asked %q, got %v, %v", admin.asked, s, err)
	}
}

// TestWhatIsExaminedComesInPieces: of each kind one piece and a half, and a group that has nothing open has an answer, too.
func TestWhatIsExaminedComesInPieces(t *testing.T) {
	admin, client := openAdmin(t)
	const count = 1500
	content := func(i int) api.TransferContent {
		return api.TransferContent{ID: transfer.ID{1, byte(i >> 8), byte(i)}, Fingerprint: transfer.Fingerprint{2, byte(i >> 8), byte(i)}}
	}
	leg := func(at transfer.BankID, d transfer.Direction, minor int64, c transfer.Currency) transfer.Leg {
		return transfer.Leg{Bank: at, Account: "a", Direction: d, AmountMinor: minor, Currency: c}
	}
	legs := []transfer.Leg{
		leg("HOME", transfer.Debit, 700, "EUR"), leg("CITY", transfer.Credit, 600, "EUR"), leg("HOME", transfer.Credit, 100, "EUR"),
		leg("HOME", transfer.Credit, 5, "CZK"), leg("CITY", transfer.Debit, 5, "CZK"),
	}
	admin.examined = api.Examined{Index: 77, Totals: []bank.Total{{Currency: "CZK", PostedMinor: -5}, {Currency: "EUR", PostedMinor: 9, HeldMinor: 3}}}
	for i := range count {
		admin.examined.Unsettled = append(admin.examined.Unsettled, api.OpenTransfer{TransferContent: content(i), State: transfer.Committed, Legs: legs})
		admin.examined.Holds = append(admin.examined.Holds, api.OpenHold{TransferContent: content(i), PreparedAtNanos: epoch.Add(time.Duration(i)).UnixNano()})
	}
	all, pieces, err := examineAll(t.Context(), client, &adminv1.ExamineGroupRequest{Group: "bank/HOME", Hold: 5})
	if err != nil || pieces != 2 || admin.asked != "bank/HOME for 5" || all.GetIndex() != 77 || len(all.GetUnsettled()) != count || len(all.GetHolds()) != count {
		t.Fatalf("asked %q: %d pieces, entry %d, %d transfers, %d holds, %v", admin.asked, pieces, all.GetIndex(), len(all.GetUnsettled()), len(all.GetHolds()), err)
	}
	if totals := fmt.Sprint(all.GetTotals()[0].GetCurrency(), all.GetTotals()[0].GetPostedMinor(), all.GetTotals()[1].GetCurrency(), all.GetTotals()[1].GetPostedMinor()); totals != "CZK-5EUR9" {
		t.Errorf("totals %s", totals)
	}
	for i := range count {
		want, u, h := content(i), all.GetUnsettled()[i], all.GetHolds()[i]
		if !bytes.Equal(u.GetId(), want.ID[:]) || !bytes.Equal(u.GetFingerprint(), want.Fingerprint[:]) || u.GetState() != "committed" {
			t.Fatalf("transfer %d: %v", i, u)
		}
		if !bytes.Equal(h.GetId(), want.ID[:]) || !bytes.Equal(h.GetFingerprint(), want.Fingerprint[:]) || !h.GetPreparedAt().AsTime().Equal(epoch.Add(time.Duration(i))) {
			t.Fatalf("hold %d: %v", i, h)
		}
	}
	var amounts []string
	for _, a := range all.GetUnsettled()[0].GetAmounts() {
		amounts = append(amounts, fmt.Sprint(a.GetBank(), " ", a.GetAmountMinor(), " ", a.GetCurrency()))
	}
	if diff := cmp.Diff([]string{"HOME -600 EUR", "CITY 600 EUR", "HOME 5 CZK", "CITY -5 CZK"}, amounts); diff != "" {
		t.Errorf("what each bank gets in all (-want +got):\n%s", diff)
	}
	admin.examined = api.Examined{Index: 78}
	if all, pieces, err := examineAll(t.Context(), client, &adminv1.ExamineGroupRequest{Group: "coordinator/0"}); err != nil || pieces != 1 || all.GetIndex() != 78 {
		t.Errorf("%d pieces, %v, %v", pieces, all, err)
	}
}

// TestWhatABankKnowsOfTransfers translates every answer that a bank has, and refuses what is no question.
func TestWhatABankKnowsOfTransfers(t *testing.T) {
	admin, client := openAdmin(t)
	admin.found = []bank.Result{0, bank.Prepared, bank.Committed, bank.RolledBack, bank.No}
	r := &adminv1.FindTransfersRequest{Bank: "HOME", Hold: 5}
	for i := range admin.found {
		id, fingerprint := transfer.ID{1, byte(i)}, transfer.Fingerprint{2, byte(i)}
		r.Transfers = append(r.Transfers, &adminv1.TransferContent{Id: id[:], Fingerprint: fingerprint[:]})
	}
	answer, err := client.FindTransfers(t.Context(), r)
	if err != nil || admin.asked != "HOME for 5" || len(admin.contents) != 5 || admin.contents[3] != (api.TransferContent{ID: transfer.ID{1, 3}, Fingerprint: transfer.Fingerprint{2, 3}}) {
		t.Fatalf("asked %q of %v, %v", admin.asked, admin.contents, err)
	}
	want := []adminv1.BankKnowledge{
		adminv1.BankKnowledge_BANK_KNOWLEDGE_NOTHING, adminv1.BankKnowledge_BANK_KNOWLEDGE_PREPARED, adminv1.BankKnowledge_BANK_KNOWLEDGE_COMMITTED,
		adminv1.BankKnowledge_BANK_KNOWLEDGE_ROLLED_BACK, adminv1.BankKnowledge_BANK_KNOWLEDGE_REFUSED,
	}
	if !slices.Equal(answer.GetFound(), want) {
		t.Errorf("got %v", answer.GetFound())
	}
	r.Transfers[2].Id = r.Transfers[2].GetId()[:15]
	if _, err := client.FindTransfers(t.Context(), r); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "transfer 3: an id of 15 bytes") {
		t.Errorf("an id that is too short: %v", err)
	}
	for len(r.GetTransfers()) <= 1000 {
		r.Transfers = append(r.Transfers, r.GetTransfers()[0])
	}
	if _, err := client.FindTransfers(t.Context(), r); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "1001 transfers at once") {
		t.Errorf("too many: %v", err)
	}
}

// TestARefusalToBeExaminedSaysWhy, whatever was asked.
func TestARefusalToBeExaminedSaysWhy(t *testing.T) {
	admin, client := openAdmin(t)
	admin.fail = fmt.Errorf("%w: node 1 doesn't lead bank/HOME", transfer.ErrNoLeader)
	for name, ask := range map[string]func() error{
		"hash":    func() error { _, err := client.HashReplica(t.Context(), &adminv1.HashReplicaRequest{}); return err },
		"scan":    func() error { _, err := client.ScanReplica(t.Context(), &adminv1.ScanReplicaRequest{}); return err },
		"examine": func() error { _, _, err := examineAll(t.Context(), client, &adminv1.ExamineGroupRequest{}); return err },
		"find":    func() error { _, err := client.FindTransfers(t.Context(), &adminv1.FindTransfersRequest{}); return err },
	} {
		if err := ask(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "node 1 doesn't lead bank/HOME") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
