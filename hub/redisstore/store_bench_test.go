package redisstore_test

import (
	"context"
	"testing"
	"time"

	"loginhub/hub/hubtest"
	"loginhub/hub/redisstore"
	"loginhub/hub/ticket"
)

// benchStore returns a store on its own redis-server.
func benchStore(b *testing.B) *redisstore.Store {
	b.Helper()
	s, err := redisstore.Open(hubtest.StartRedis(b).URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := s.Preload(b.Context()); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Probe(b.Context(), "bench", "nonce"); err != nil { // sets the clock
		b.Fatal(err)
	}
	return s
}

func createOne(ctx context.Context, b *testing.B, s *redisstore.Store) ticket.ID {
	id, record := ticket.NewSecret().ID(), make([]byte, 400)
	made, err := s.Create(ctx, id, record, s.Now().Add(time.Minute), time.Minute)
	if err != nil || !made {
		b.Error(made, err)
	}
	return id
}

// benchBoth runs f one after the other, and 64 at once.
func benchBoth(b *testing.B, f func()) {
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
	b.Run("64 at once", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				f()
			}
		})
	})
}

func BenchmarkCreate(b *testing.B) {
	s := benchStore(b)
	benchBoth(b, func() { createOne(context.Background(), b, s) })
}

func BenchmarkAttach(b *testing.B) {
	s := benchStore(b)
	ids := make([]ticket.ID, 512)
	for i := range ids {
		ids[i] = createOne(b.Context(), b, s)
	}
	attach := func(ids ...ticket.ID) {
		if _, err := s.Attach(context.Background(), "bench", ids...); err != nil {
			b.Error(err)
		}
	}
	benchBoth(b, func() { attach(ids[0]) })
	b.Run("sweep of 512", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			attach(ids...)
		}
	})
}

func BenchmarkChange(b *testing.B) {
	s := benchStore(b)
	id := createOne(b.Context(), b, s)
	record := make([]byte, 400)
	b.ReportAllocs()
	for b.Loop() {
		record[399]++
		out, err := s.Change(b.Context(), ticket.Change{ID: id, BaseTag: record[:80], Sealed: record, ExpireAt: s.Now().Add(time.Minute)})
		if err != nil || !out[0].Done {
			b.Fatal(out, err)
		}
	}
}
