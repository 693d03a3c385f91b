package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// insideMark is set for the process that has mounts of its own.
const insideMark = "QUORATE_CHAOS_INSIDE"

// inOwnMounts runs the whole program again where it may mount small file systems that nobody else sees, and that are gone with
// it. As root that takes a mount namespace, else a user namespace, too. done is false where the kernel allows neither,
// and inside.
func inOwnMounts(args []string, stderr io.Writer) (code int, done bool) {
	if os.Getenv(insideMark) != "" {
		return 0, false
	}
	alone := []*syscall.SysProcAttr{{Unshareflags: syscall.CLONE_NEWNS}, {
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}}
	for _, attributes := range alone {
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), insideMark+"=1")
		attributes.Pdeathsig, attributes.Setpgid = syscall.SIGTERM, true // signals reach it through this process only
		cmd.SysProcAttr = attributes
		if err := startHere(cmd); err != nil {
			continue
		}
		return await(cmd), true
	}
	fmt.Fprintln(stderr, "no small file systems here: full disks are made by limiting what a process may write")
	return 0, false
}

// await passes signals on and returns the exit code.
func await(cmd *exec.Cmd) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the process
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s) // it may be gone by now
		case <-ended:
			return cmd.ProcessState.ExitCode()
		}
	}
}

// smallBytes is the size of a small file system while it isn't full. It takes as much memory as it holds.
const smallBytes = 4 << 30

func mountSmall(dir string) error {
	if os.Getenv(insideMark) == "" {
		return errors.ErrUnsupported
	}
	return unix.Mount("chaos", dir, "tmpfs", 0, fmt.Sprintf("size=%d", smallBytes))
}

// unmountSmall doesn't wait for whoever may still look into it.
func unmountSmall(dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) }

func resize(dir string, bytes uint64) error {
	return unix.Mount("chaos", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", bytes))
}

// shrinkSmall leaves a few pages: the server may have taken them before the kernel has shrunk it.
func shrinkSmall(dir string) error {
	var err error
	for range 100 {
		var s unix.Statfs_t
		if err = unix.Statfs(dir, &s); err != nil {
			return err
		}
		used := (s.Blocks - s.Bfree) * uint64(s.Bsize)
		if err = resize(dir, used+4*uint64(s.Bsize)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("shrink %s: %w", dir, err)
}

func growSmall(dir string) error { return resize(dir, smallBytes) }

// limitWrites sets the limit on the length of files of a running process to nothing, or lifts it.
func limitWrites(pid int, on bool) error {
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if on {
		limit.Cur = 0
	}
	return unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil)
}
