package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"loginhub/cmd/loginhub/auditchain"
	"loginhub/cmd/loginhub/logqueue"
	"loginhub/hub/provider"
	"loginhub/hub/trace"
)

// flushTimeout bounds how long a stopping node writes queued lines. A log that no
// program reads must not keep the node from ending.
const flushTimeout = 2 * time.Second

// logs are a node's outputs: the log on standard error, and the audit log, there or
// in its own file. Neither can block the node.
type logs struct {
	log    *slog.Logger
	level  *slog.LevelVar // level of log; the others have none
	access *slog.Logger
	audit  *auditLog

	limit  *logqueue.Limit
	stderr *logqueue.Queue
	file   *logqueue.File // the audit file; nil: standard error
	heads  *auditHeads    // nil: no chain
	chain  *auditchain.Chain
}

// openLogs opens the outputs of the settings.
func openLogs(c *Config) (*logs, error) {
	l := &logs{level: new(slog.LevelVar)}
	if err := l.level.UnmarshalText([]byte(c.Log)); err != nil {
		return nil, fmt.Errorf("LOGINHUB_LOG: %w", err)
	}
	format := jsonLines
	if term.IsTerminal(int(os.Stderr.Fd())) {
		format = textLines
	}
	if c.AuditFile != "" {
		var err error
		if l.file, err = logqueue.OpenFile(c.AuditFile); err != nil {
			return nil, fmt.Errorf("LOGINHUB_AUDIT_FILE: %w", err)
		}
	}
	l.stderr = logqueue.New(logqueue.Config{Out: os.Stderr, Notice: format.notice})
	l.limit = logqueue.NewLimit(format(l.stderr, l.level))
	l.log = slog.New(trace.LogHandler(l.limit))
	l.access = slog.New(trace.LogHandler(format(l.stderr, nil)))
	if l.file == nil {
		l.audit = newAuditLog(l.stderr, format)
		return l, nil
	}
	queue := logqueue.Config{Out: l.file, Notice: jsonLines.notice, OnError: func(err error) {
		l.log.Error("the audit file cannot be written; its lines wait", "path", c.AuditFile, "error", err)
	}}
	if c.AuditChain {
		var err error
		if queue.Link, err = l.link(c.AuditFile); err != nil {
			return nil, fmt.Errorf("LOGINHUB_AUDIT_CHAIN: %w", err)
		}
		queue.Out = chainedFile{l.file, l}
	}
	l.audit = newAuditLog(logqueue.New(queue), jsonLines)
	if c.AuditChain {
		go l.heads.run(l.audit)
	}
	return l, nil
}

// Reopen opens the audit file again, after it was moved. On an error the open file
// stays in use.
func (l *logs) Reopen() error {
	if l.file == nil {
		return nil
	}
	return l.file.Reopen()
}

// Close writes the queued lines, within flushTimeout.
func (l *logs) Close() {
	l.limit.Flush()
	if l.heads != nil {
		close(l.heads.stopped)
		l.heads.closing.Store(true)
		l.audit.head()
	}
	var both sync.WaitGroup
	both.Go(func() { l.stderr.Close(flushTimeout) })
	both.Go(func() { l.audit.queue.Close(flushTimeout) })
	both.Wait()
	if l.chain != nil {
		l.chain.Close()
	}
}

// lineFormat returns the handler that formats lines. A nil level passes all lines.
type lineFormat func(out io.Writer, level slog.Leveler) slog.Handler

// jsonLines is for programs, textLines for a terminal.
var (
	jsonLines lineFormat = func(out io.Writer, level slog.Leveler) slog.Handler {
		return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})
	}
	textLines lineFormat = func(out io.Writer, level slog.Leveler) slog.Handler {
		return slog.NewTextHandler(out, &slog.HandlerOptions{Level: level})
	}
)

// notice returns the line that reports dropped lines.
func (f lineFormat) notice(lines int64) []byte {
	var b bytes.Buffer
	slog.New(f(&b, nil)).Warn("log lines were dropped: nothing read the log, or its disk was full", "lines", lines)
	return b.Bytes()
}

// auditLog implements hub.AuditLog. It alone orders and formats the lines of the
// audit log.
type auditLog struct {
	queue *logqueue.Queue

	mu      sync.Mutex
	line    bytes.Buffer // guarded by mu
	handler slog.Handler // writes to line
}

func newAuditLog(queue *logqueue.Queue, format lineFormat) *auditLog {
	a := &auditLog{queue: queue}
	a.handler = format(&a.line, nil)
	return a
}

// Reserve implements hub.AuditLog.
func (a *auditLog) Reserve() bool { return a.queue.Reserve() }

// Release implements hub.AuditLog.
func (a *auditLog) Release(held bool) { a.queue.Release(held) }

// Stalled implements hub.AuditLog.
func (a *auditLog) Stalled() bool { return a.queue.Stalled() }

// Write implements hub.AuditLog.
func (a *auditLog) Write(line slog.Record, held bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.line.Reset()
	_ = a.handler.Handle(context.Background(), line) // writing to a buffer cannot fail
	a.queue.Put(a.line.Bytes(), held)
}

// userLabel returns the function that names users in the audit log. It is nil for
// plain identifiers. Otherwise it is an HMAC of them, equal on all nodes while the
// first key stays the same.
func (s *settings) userLabel() func(provider.Identity) string {
	if !s.AuditHash {
		return nil
	}
	key := s.masters[0].Audit()
	return func(by provider.Identity) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(strings.Join([]string{by.Provider, by.Realm, by.Subject}, "\x00")))
		return by.Provider + ":hmac:" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	}
}

// serverErrors logs the errors of an HTTP server with constant messages, so that
// repeated lines can be limited. The server's own texts begin with a client's
// address.
type serverErrors struct{ log *slog.Logger }

func newServerErrors(l *slog.Logger) *log.Logger { return log.New(serverErrors{l}, "", 0) }

// Write implements io.Writer.
func (s serverErrors) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	level, message := slog.LevelWarn, "HTTP server"
	if strings.HasPrefix(text, "http: TLS handshake error") {
		message = "TLS handshake failed"
		if strings.HasSuffix(text, ": EOF") || strings.HasSuffix(text, "connection reset by peer") {
			level = slog.LevelDebug // a health check that only connects
		}
	}
	s.log.Log(context.Background(), level, message, "error", text)
	return len(p), nil
}

// printError prints the error on which the program ends. It does not wait for a
// standard error that no program reads.
func printError(err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fmt.Fprintln(os.Stderr, "loginhub:", err)
	}()
	select {
	case <-done:
	case <-time.After(flushTimeout):
	}
}

// logEnd logs how the node has ended. A wrong configuration is only printed.
func (l *logs) logEnd(err error) {
	var wrong *usageError
	switch {
	case err == nil:
		l.log.Info("stopped")
	case !errors.As(err, &wrong):
		l.log.Error("stopped", "error", err)
	}
}
