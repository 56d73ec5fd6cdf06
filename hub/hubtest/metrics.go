package hubtest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Scrape returns the node's metrics as text, and the value of every sample by its name
// with labels.
func (n *Node) Scrape() (text string, samples map[string]float64, err error) {
	if text, err = n.admin("/metrics"); err != nil {
		return "", nil, err
	}
	samples = map[string]float64{}
	for line := range strings.Lines(text) {
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		if samples[line[:at]], err = strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err != nil {
			return "", nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	return text, samples, nil
}

// ResourceUsage is what a node uses. It must return to its earlier level after every
// fault.
type ResourceUsage struct {
	Goroutines int
	Files      int // open file descriptors, without the pool's connections to Redis, which a burst opens
	Heap       int // bytes, after a garbage collection
	Resident   int // bytes, as reported by the system
	Waiters    int // goroutines that serve a socket or a poll
}

func (l ResourceUsage) String() string {
	return fmt.Sprintf("%d goroutines, %d files, heap %.1f MiB, resident %.0f MiB, %d waiters",
		l.Goroutines, l.Files, float64(l.Heap)/(1<<20), float64(l.Resident)/(1<<20), l.Waiters)
}

// Usage runs a garbage collection on the node and measures.
func (n *Node) Usage() (l ResourceUsage, err error) {
	if _, err := n.admin("/debug/pprof/heap?gc=1"); err != nil {
		return l, err
	}
	_, samples, err := n.Scrape()
	if err != nil {
		return l, err
	}
	for name, place := range map[string]*int{"go_goroutines": &l.Goroutines, "process_open_fds": &l.Files,
		"go_memstats_heap_alloc_bytes": &l.Heap, "process_resident_memory_bytes": &l.Resident} {
		value, ok := samples[name]
		if !ok {
			return l, fmt.Errorf("no metric %s", name)
		}
		*place = int(value)
	}
	for _, state := range []string{"used", "idle"} {
		l.Files -= int(samples[fmt.Sprintf(`loginhub_redis_connections{state=%q}`, state)])
	}
	l.Waiters, err = n.Stacks("loginhub/hub.(*socket).", "loginhub/hub.(*Hub).Poll")
	return l, err
}

// Stacks counts the node's goroutines whose stack contains one of the texts.
func (n *Node) Stacks(texts ...string) (count int, err error) {
	profile, err := n.admin("/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	// The profile has paragraphs of "N @ addresses", then one line per frame.
	for paragraph := range strings.SplitSeq(profile, "\n\n") {
		for _, text := range texts {
			if !strings.Contains(paragraph, text) {
				continue
			}
			for line := range strings.Lines(paragraph) {
				if head, _, ok := strings.Cut(line, " @ "); ok {
					many, _ := strconv.Atoi(head)
					count += many
				}
			}
			break
		}
	}
	return count, nil
}

// admin fetches a page of the admin listener.
func (n *Node) admin(path string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(n.Admin + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(bufio.NewReader(r.Body))
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", path, r.StatusCode)
	}
	return string(body), err
}

// CloseIdleConnections closes the connections that Request keeps for reuse.
func CloseIdleConnections() { client.CloseIdleConnections() }
