package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// echo is a server that says everything back.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ended by the cleanup
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer c.Close()
				_, _ = io.Copy(c, c) // until it breaks
			}()
		}
	}()
	return l.Addr().String()
}

func linkTo(t *testing.T, target string) *link {
	t.Helper()
	l, err := openLink("test", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func call(t *testing.T, l *link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// said sends a word and reads what comes back; empty: the connection broke.
func said(t *testing.T, c net.Conn, word string) string {
	t.Helper()
	if _, err := c.Write([]byte(word)); err != nil {
		return ""
	}
	return heard(t, c, len(word))
}

func heard(t *testing.T, c net.Conn, bytes int) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, bytes)
	if _, err := io.ReadFull(c, b); err != nil {
		return ""
	}
	return string(b)
}

func TestALinkCarriesBothWays(t *testing.T) {
	l := linkTo(t, echo(t))
	a, b := call(t, l), call(t, l)
	if said(t, a, "one") != "one" || said(t, b, "two") != "two" || said(t, a, "three") != "three" {
		t.Error("not what was said")
	}
}

func TestWhatIsStalledComesLater(t *testing.T) {
	l := linkTo(t, echo(t))
	c := call(t, l)
	if said(t, c, "before") != "before" {
		t.Fatal("no connection")
	}
	l.set(weather{stalled: true})
	if _, err := c.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _ := c.Read(make([]byte, 10)); n > 0 {
		t.Error("something came through a stalled link")
	}
	l.set(weather{})
	if got := heard(t, c, 4); got != "late" {
		t.Errorf("afterwards: got %q", got)
	}
}

func TestARefusingLinkBreaksAndMakesNoConnection(t *testing.T) {
	l := linkTo(t, echo(t))
	c := call(t, l)
	if said(t, c, "before") != "before" {
		t.Fatal("no connection")
	}
	l.set(weather{refused: true})
	if got := heard(t, c, 1); got != "" {
		t.Errorf("an old connection: got %q", got)
	}
	if c, err := net.Dial("tcp", l.address()); err == nil { // it may break before it is there
		if got := said(t, c, "x"); got != "" {
			t.Errorf("a new connection: got %q", got)
		}
		c.Close()
	}
	l.set(weather{})
	if got := said(t, call(t, l), "again"); got != "again" {
		t.Errorf("afterwards: got %q", got)
	}
}

func TestALateMessageIsNotEarly(t *testing.T) {
	l := linkTo(t, echo(t))
	l.set(weather{delay: 20 * time.Millisecond})
	c := call(t, l)
	began := time.Now()
	if said(t, c, "there and back") != "there and back" {
		t.Fatal("no answer")
	}
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("there and back in %v", took)
	}
}

func TestACutEndsWhatIsOpenAndNothingElse(t *testing.T) {
	l := linkTo(t, echo(t))
	c := call(t, l)
	if said(t, c, "before") != "before" {
		t.Fatal("no connection")
	}
	l.cut()
	if got := heard(t, c, 1); got != "" {
		t.Errorf("an old connection: got %q", got)
	}
	if got := said(t, call(t, l), "new"); got != "new" {
		t.Errorf("a new connection: got %q", got)
	}
}

func TestWaysOfTheNetwork(t *testing.T) {
	n := &network{nodes: []uint64{1, 2, 3}}
	for _, row := range []struct {
		name string
		got  []way
		want []way
	}{
		{"around", n.around(2), []way{{2, 1}, {1, 2}, {2, 3}, {3, 2}}},
		{"out of", n.out(2), []way{{2, 1}, {2, 3}}},
		{"past a bridge", n.opposite(2), []way{{1, 3}, {3, 1}}},
		{"all", n.all(), []way{{1, 2}, {1, 3}, {2, 1}, {2, 3}, {3, 1}, {3, 2}}},
	} {
		if len(row.got) != len(row.want) {
			t.Errorf("%s: got %v, want %v", row.name, row.got, row.want)
			continue
		}
		for i := range row.want {
			if row.got[i] != row.want[i] {
				t.Errorf("%s: got %v, want %v", row.name, row.got, row.want)
				break
			}
		}
	}
}
