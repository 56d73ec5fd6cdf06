package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"loginhub/api/token"
	"loginhub/cmd/loginhub/auditchain"
	"loginhub/cmd/loginhub/logqueue"
	"loginhub/hub/client"
	"loginhub/hub/keys"
)

// headEvery is how often a node writes an audit line for the chain's signature.
const headEvery = time.Minute

// auditHeads signs the chain of an audit file.
type auditHeads struct {
	signer  atomic.Pointer[token.Signer] // nil until the node is built
	closing atomic.Bool                  // the next line is the last
	stopped chan struct{}
}

// sign returns a signature of the chain by the newest master key.
func (h *auditHeads) sign(claims []byte) (string, error) {
	s := h.signer.Load()
	if s == nil {
		return "", nil
	}
	return s.Sign(s.Current(), auditchain.Type, client.AlgEdDSA, claims)
}

// run writes a line every headEvery, so that the chain's last line is never older.
func (h *auditHeads) run(audit *auditLog) {
	tick := time.NewTicker(headEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			audit.head()
		case <-h.stopped:
			return
		}
	}
}

// head writes the line that carries a signature.
func (a *auditLog) head() {
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "audit head", 0)
	line.AddAttrs(slog.Group("audit", slog.String("event", "head")))
	a.Write(line, false)
}

// link returns the queue's Link for an audit file. It reports errors to the log: the lines
// are written in any case.
func (l *logs) link(path string) (func([]byte) []byte, error) {
	chain, how, err := auditchain.Open(path)
	if err != nil {
		return nil, err
	}
	switch how {
	case auditchain.New:
		l.log.Info("a new audit chain begins", "path", path)
	case auditchain.Unknown:
		l.log.Warn("the audit file does not end with the line that this node wrote last; compare it with your copy", "path", path, "state", path+".chain")
	}
	l.chain = chain
	l.heads = &auditHeads{stopped: make(chan struct{})}
	chain.Sign = l.heads.sign
	return func(lines []byte) []byte {
		chain.Closing = l.heads.closing.Load()
		linked, err := chain.Append(lines)
		if err != nil {
			l.log.Error("the audit chain is not complete", "path", path, "error", err)
		}
		return linked
	}, nil
}

// chainedFile saves the chain's state after each write.
type chainedFile struct {
	*logqueue.File
	logs *logs
}

// Write implements io.Writer.
func (f chainedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err == nil {
		if saveErr := f.logs.chain.Save(); saveErr != nil {
			f.logs.log.Error("the audit chain's state cannot be saved", "error", saveErr)
		}
	}
	return n, err
}

// auditCmd is `loginhub audit`.
type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Find lines of an audit chain that were changed, removed, inserted or moved. Exit code 1 if there are any."`
}

type auditVerifyCmd struct {
	Files []string `arg:"" name:"file" help:"The audit file; with rotated ones, the oldest first." type:"existingfile"`
	JWKS  []string `name:"jwks" env:"-" help:"Path of a copy of /.well-known/jwks.json with the keys that signed. Repeat it for copies of before a rotation. Default: the keys of LOGINHUB_KEYS." placeholder:"PATH"`
}

// Run prints what was found.
func (v auditVerifyCmd) Run(c *Config) error {
	verify, err := v.verifier(c)
	if err != nil {
		return &usageError{err}
	}
	chain := auditchain.Verifier{Check: func(text string) ([]byte, error) {
		claims, err := verify(text, auditchain.Type)
		if errors.Is(err, token.ErrUnknownKey) {
			err = auditchain.ErrUnknownKey
		}
		return claims, err
	}}
	for _, path := range v.Files {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = chain.File(path, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	report := chain.End()
	for _, note := range report.Notes {
		fmt.Println("note:", note)
	}
	for _, finding := range report.Findings {
		fmt.Println("changed:", finding)
	}
	fmt.Printf("lines %d to %d, %d signatures", chain.First, chain.Last, chain.Signatures)
	if chain.Signatures > 0 {
		fmt.Printf(", the last of %s over the lines up to %d", chain.SignedAt.Format(time.RFC3339), chain.Signed)
	}
	fmt.Println()
	switch {
	case len(chain.Findings) > 0:
		return fmt.Errorf("audit verify: %d findings", len(chain.Findings))
	case chain.Lines == 0:
		return errors.New("audit verify: no line has a chain; is LOGINHUB_AUDIT_CHAIN set?")
	case chain.Unknown > 0:
		return fmt.Errorf("audit verify: %d signatures by keys that are not among the given ones: give the jwks.json of their time too", chain.Unknown)
	case chain.Signed == 0:
		return errors.New("audit verify: no signature covers a line, so all of them may be new")
	}
	fmt.Println("ok")
	return nil
}

// verifier verifies with the keys of --jwks or of LOGINHUB_KEYS.
func (v auditVerifyCmd) verifier(c *Config) (func(text, typ string) ([]byte, error), error) {
	if len(v.JWKS) > 0 {
		var all [][]byte
		for _, path := range v.JWKS {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			all = append(all, text)
		}
		return token.NewVerifier(all...)
	}
	if err := c.readFiles(); err != nil {
		return nil, err
	}
	if c.Keys == "" {
		return nil, errors.New("signatures need keys: --jwks PATH, a copy of /.well-known/jwks.json, or LOGINHUB_KEYS_FILE")
	}
	masters, err := keys.ParseMasterKeys(c.Keys)
	if err != nil {
		return nil, fmt.Errorf("LOGINHUB_KEYS: %w", err)
	}
	signer, err := token.NewSigner(masters, nil)
	if err != nil {
		return nil, err
	}
	return signer.Verify, nil
}
