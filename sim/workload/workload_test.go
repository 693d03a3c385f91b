package workload_test

import (
	"os"
	"strings"
	"testing"

	"github.com/quorate/quorate/sim/workload"
	"github.com/quorate/quorate/transfer"
)

const trans = "../../examples/berka/trans.asc"

func readBerka(t *testing.T) []transfer.Transfer {
	t.Helper()
	f, err := os.Open(trans)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []transfer.Transfer
	for tr, err := range workload.Berka(f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tr)
	}
	return all
}

func TestBerkaRowsBecomeTheTransfersThatTheReadmeCounts(t *testing.T) {
	all := readBerka(t)
	if len(all) != 49_102 {
		t.Errorf("got %d rows, want 49,102", len(all))
	}
	out, in, crossMinor := 0, 0, int64(0)
	ids := map[transfer.ID]bool{}
	partners := map[string]bool{}
	for i := range all {
		ids[all[i].ID] = true
		from, to := all[i].Legs[0], all[i].Legs[1]
		if from.Bank == to.Bank {
			continue
		}
		crossMinor += from.AmountMinor
		if from.Bank == workload.BerkaHome {
			out++
			partners[string(to.Bank)+"/"+string(to.Account)] = true
		} else {
			in++
			partners[string(from.Bank)+"/"+string(from.Account)] = true
		}
	}
	if len(ids) != len(all) {
		t.Errorf("%d ids for %d rows", len(ids), len(all))
	}
	if out != 6_343 || in != 3_772 || crossMinor != 6_407_733_280 || len(partners) != 1_592 {
		t.Errorf("got %d out, %d in, %d minor across, %d partner accounts", out, in, crossMinor, len(partners))
	}
}

func TestBerkaKnowsEveryBankThatItsRowsName(t *testing.T) {
	known := map[transfer.BankID]bool{}
	for _, b := range workload.BerkaBanks() {
		known[b] = true
	}
	if len(known) != 14 {
		t.Errorf("got %d banks, want 14", len(known))
	}
	for _, tr := range readBerka(t) {
		for _, b := range tr.Banks() {
			if !known[b] {
				t.Fatalf("transfer %s names bank %s", tr.ID, b)
			}
		}
	}
}

func TestBerkaIDsAreTheSameInEveryRun(t *testing.T) {
	const row = `695247;2378;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;`
	for tr, err := range workload.Berka(strings.NewReader(row)) {
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tr.ID.String(), "c4cfb229-c623-80cd-88be-6352cf9be8c6"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestBerkaRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, row := range map[string]string{
		"too few fields":   `1;2;930101`,
		"no amount":        `1;2;930101;"PRIJEM";"VKLAD";x;700.00;"";;`,
		"zero amount":      `1;2;930101;"PRIJEM";"VKLAD";0.00;700.00;"";;`,
		"unknown movement": `1;2;930101;"PRIJEM";"DAR";1.00;700.00;"";;`,
		"partner missing":  `1;2;930101;"VYDAJ";"PREVOD NA UCET";1.00;700.00;"";;`,
	} {
		t.Run(name, func(t *testing.T) {
			failed := false
			for _, err := range workload.Berka(strings.NewReader(row)) {
				failed = failed || err != nil
			}
			if !failed {
				t.Errorf("%s was accepted", row)
			}
		})
	}
}

func TestSameSeedSameTransfers(t *testing.T) {
	cfg := workload.Config{Seed: 7, Banks: []transfer.BankID{"A", "B", "C"}, AccountsPerBank: 10, Currency: "EUR", AmountMaxMinor: 100, Skew: 0.5}
	a, b := workload.New(cfg), workload.New(cfg)
	ids := map[transfer.ID]bool{}
	for range 1000 {
		x, y := a.Next(), b.Next()
		if x.ID != y.ID || x.Fingerprint() != y.Fingerprint() {
			t.Fatalf("%v and %v differ", x, y)
		}
		if err := x.Validate(); err != nil {
			t.Fatal(err)
		}
		if x.Legs[0].Bank == x.Legs[1].Bank {
			t.Fatalf("%v stays within one bank", x)
		}
		ids[x.ID] = true
	}
	if len(ids) != 1000 {
		t.Errorf("%d ids for 1000 transfers", len(ids))
	}
}

func TestOneBankPaysBetweenDifferentAccounts(t *testing.T) {
	g := workload.New(workload.Config{Seed: 1, Banks: []transfer.BankID{"A"}, AccountsPerBank: 2, Currency: "EUR", AmountMaxMinor: 5})
	for range 100 {
		if x := g.Next(); x.Legs[0].Account == x.Legs[1].Account {
			t.Fatalf("%v pays to itself", x)
		}
	}
}

func TestMoreLegsStillBalance(t *testing.T) {
	g := workload.New(workload.Config{Seed: 1, Banks: []transfer.BankID{"A", "B", "C"}, AccountsPerBank: 20_000, Currency: "EUR", AmountMaxMinor: 5, Legs: 16})
	for range 100 {
		x := g.Next()
		if err := x.Validate(); err != nil || len(x.Legs) != 16 {
			t.Fatalf("%d legs, %v", len(x.Legs), err)
		}
	}
}

func TestAccountsAreNamedByFiveDigitsOrMore(t *testing.T) {
	places := workload.New(workload.Config{Seed: 1, Banks: []transfer.BankID{"A"}, AccountsPerBank: 100_001, Currency: "EUR", AmountMaxMinor: 5}).Places(0)
	for i, want := range map[int]transfer.AccountID{0: "acct-00000", 7: "acct-00007", 42: "acct-00042", 99_999: "acct-99999", 100_000: "acct-100000"} {
		if got := places[i].Terms.ID; got != want {
			t.Errorf("account %d is called %s, want %s", i, got, want)
		}
	}
}
