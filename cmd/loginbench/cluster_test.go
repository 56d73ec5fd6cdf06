package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBench_KeepsLogsOfFailedStart(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	program := filepath.Join(t.TempDir(), "loginhub")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho the reason\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := &bench{Bin: program, Provider: "sandbox", Sources: 1}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, err := b.start(ctx, 1, time.Minute)
	if err == nil {
		t.Fatal("started")
	}
	_, dir, said := strings.Cut(err.Error(), "the logs are in ")
	if !said {
		t.Fatalf("no folder is named: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "node0.log")); err != nil || string(text) != "the reason\n" {
		t.Errorf("%q %v", text, err)
	}
	b.Provider = "other"
	if _, err := b.start(ctx, 1, time.Minute); err == nil || strings.Contains(err.Error(), "logs") {
		t.Errorf("without a log: %v", err)
	}
}
