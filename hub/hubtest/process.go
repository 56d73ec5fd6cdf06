package hubtest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test runs: a node, redis-server, a Sentinel or nginx.
type process struct {
	cmd  *exec.Cmd
	out  logBuffer
	pipe *os.File // used instead of out if not nil
	done chan struct{}
}

// run starts the program, also again. A nil environment is the test's own. The program
// has its own process group, so that Ctrl-C in a test run does not end it before its test
// has cleaned up.
func (p *process) run(t testing.TB, environment []string, program string, args ...string) {
	t.Helper()
	var out io.Writer = &p.out
	if p.pipe != nil {
		out = p.pipe
	}
	cmd, done := exec.Command(program, args...), make(chan struct{})
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = environment, out, out, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	p.cmd, p.done = cmd, done
	go func() {
		cmd.Wait()
		close(done)
	}()
}

// Log returns what the process has printed so far. A line may follow later than what it
// reports: wait for it with Eventually, or use Node.Stop.
func (p *process) Log() string { return p.out.String() }

// Kill ends the process at once.
func (p *process) Kill() {
	p.cmd.Process.Signal(syscall.SIGCONT)
	p.cmd.Process.Kill()
	<-p.done
}

// Stall suspends the process: the kernel accepts connections and nothing answers.
func (p *process) Stall() error { return p.Signal(syscall.SIGSTOP) }

// Resume ends Stall.
func (p *process) Resume() error { return p.Signal(syscall.SIGCONT) }

// Terminate asks the process to stop, as an init system does.
func (p *process) Terminate() error { return p.Signal(syscall.SIGTERM) }

// Signal sends the process a signal.
func (p *process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Wait waits for the end of the process and returns its exit code.
func (p *process) Wait(limit time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, errors.New("the process does not stop")
	}
}

// logBuffer is a buffer that a process writes while the test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
