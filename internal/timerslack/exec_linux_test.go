package timerslack_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/internal/timerslack"
)

// The test program is the one that starts anew: with asProgram it does nothing else.
const asProgram = "TIMERSLACK_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		timerslack.Exec()
		slack, err := timerslack.Now()
		fmt.Println(os.Getpid(), slack, err, os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// programSays starts the program on a thread with the slack that is given.
func programSays(t *testing.T, nanoseconds uintptr, variable string) string {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	program := exec.Command(os.Args[0], "one", "two words")
	program.Env = append(os.Environ(), asProgram+"=1", timerslack.Variable+"="+variable)
	var out strings.Builder
	program.Stdout, program.Stderr = &out, os.Stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	if err := program.Wait(); err != nil {
		t.Fatal(err)
	}
	said, itIs := strings.CutPrefix(out.String(), fmt.Sprint(program.Process.Pid, " "))
	if !itIs {
		t.Errorf("process %d says %q: it isn't the same any more", program.Process.Pid, out.String())
	}
	return strings.TrimSpace(said)
}

func TestExec(t *testing.T) {
	for _, c := range []struct {
		name     string
		slack    uintptr
		variable string
		want     string
	}{
		{"it begins anew with more slack", 50_000, "", "2ms"},
		{"whoever has more keeps it", 5_000_000, "", "5ms"},
		{"whoever has as much is left alone", 2_000_000, "", "2ms"},
		{"the environment forbids it", 50_000, "system", "50µs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, want := programSays(t, c.slack, c.variable), c.want+" <nil> [one two words]"; got != want {
				t.Errorf("the program says %q, want %q", got, want)
			}
		})
	}
}
