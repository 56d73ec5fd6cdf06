package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is USER_HZ: 100 on every Linux that Go runs on.
const ticks = 100

// cpu is the CPU time that a process has used, in seconds, all threads, with
// the resolution of a tick. 0: a process that is not ours to see.
func cpu(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name may hold blanks and brackets: fields count from the last one.
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / ticks
}

// rss is the memory of a process as it stands, in bytes.
func rss(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	return 1024 * field(text, "Rss:", 1)
}

// sockets is the kernel memory of all TCP sockets of this machine, both ends,
// in bytes.
func sockets() float64 {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	return float64(os.Getpagesize()) * field(text, "TCP:", 10)
}

// field is the n-th word of the line that begins so.
func field(text []byte, begin string, n int) float64 {
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > n && f[0] == begin {
			v, _ := strconv.ParseFloat(f[n], 64)
			return v
		}
	}
	return 0
}

// runtimeFigures reads Go's own figures from a node's /metrics; after a
// collection where live is set. Empty without an admin address.
func (n *node) runtimeFigures(ctx context.Context, live bool) map[string]float64 {
	all := map[string]float64{}
	if n.admin == nil {
		return all
	}
	if live {
		for range 2 { // pools let go at the second
			n.admin.call(ctx, "/debug/pprof/heap?gc=1", "", "") // what it says is not needed
		}
	}
	_, text, _, err := n.admin.call(ctx, "/metrics", "", "")
	if err != nil {
		return all
	}
	for _, name := range []string{"go_memstats_heap_alloc_bytes", "go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes", "go_goroutines"} {
		all[name] = field(text, name, 1)
	}
	return all
}

// redisInfo asks a Redis how often each command ran, scripts' own included, and
// for its process.
func redisInfo(addr string) (calls map[string]int64, pid int, err error) {
	conn, err := net.DialTimeout("tcp", addr, callLimit)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(callLimit))
	if _, err := io.WriteString(conn, "INFO everything\r\n"); err != nil {
		return nil, 0, err
	}
	r := bufio.NewReader(conn)
	head, err := r.ReadString('\n')
	if err != nil {
		return nil, 0, err
	}
	length, err := strconv.Atoi(strings.Trim(head, "$\r\n"))
	if err != nil {
		return nil, 0, fmt.Errorf("redis at %s: %.80s", addr, head)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, 0, err
	}
	calls = map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "process_id" {
			pid, _ = strconv.Atoi(value)
		}
		if command, ok := strings.CutPrefix(name, "cmdstat_"); ok {
			count, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			calls[command], _ = strconv.ParseInt(count, 10, 64)
		}
	}
	return calls, pid, nil
}

// raiseFileLimit takes as many files as the system grants.
func raiseFileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	limit.Cur = limit.Max
	return limit.Cur, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
