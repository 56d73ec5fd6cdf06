package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// bench is what all scenarios share.
type bench struct {
	Hub      []string `help:"URLs of running nodes, comma-separated. Without it nodes and a redis-server are started for each scenario." placeholder:"URL,..."`
	Admin    []string `help:"URLs of their admin listeners, in the same order: heap, stack, goroutines." placeholder:"URL,..."`
	PID      []int    `name:"pid" help:"Their process ids, in the same order: CPU and memory." placeholder:"PID,..."`
	Redis    string   `help:"Address of their Redis, without a password: its CPU, commands and messages." placeholder:"HOST:PORT"`
	Provider string   `default:"sandbox" help:"Provider that the phones name. Of nodes that are started: sandbox, or wechat, an imitation that is started too. Of given ones: any that takes codes PROVIDER:NAME:NONCE."`
	Bin      string   `help:"Program of the nodes that are started. Default: built from this module." placeholder:"PATH"`
	Log      string   `default:"info" help:"Log level of the nodes that are started; their log goes to a file."`
	Embedded bool     `help:"Start one node with the embedded Redis in place of a redis-server."`
	Nodes    int      `help:"How many nodes to start. Default: push, peers and bus 2, others 1."`
	AtOnce   int      `default:"64" help:"How many make, attach or log in at once."`
	Sources  int      `default:"8" help:"Local addresses to come from, 127.0.0.2 and following: each has 28,000 ports."`
	JSON     bool     `name:"json" help:"Print JSON in place of a table."`

	files uint64 // file limit
	after func() // cleans up
}

// nodes returns the number of nodes to start.
func (b *bench) nodes(standard int) int {
	if b.Nodes > 0 {
		return b.Nodes
	}
	return standard
}

type commands struct {
	bench

	Standard standardScenario `cmd:"" default:"1" help:"attach, idle, push, logins, storm and nodes, shortened to two minutes (the default)."`
	Idle     idleScenario     `cmd:"" help:"What a waiting page costs: memory, goroutines, CPU."`
	Attach   attachScenario   `cmd:"" help:"What it costs that a page comes."`
	Storm    stormScenario    `cmd:"" help:"All pages are cut off at once: time until all are back."`
	Push     pushScenario     `cmd:"" help:"Confirm to token at a steady rate, with idle pages beside."`
	Logins   loginsScenario   `cmd:"" help:"Whole logins as fast as they go: CPU by process, live heap."`
	Nodes8   nodesScenario    `cmd:"" name:"nodes" help:"The same logins on 1, 2, 4 and 8 nodes: scripts, messages, CPU per login."`
	Bus      busScenario      `cmd:"" help:"What a Redis Cluster's servers send each other for pub/sub, of an idle node and per login, sharded and not."`
	Poll     pollScenario     `cmd:"" help:"The pages ask every 2 s instead of waiting for a push."`
	Peers    peersScenario    `cmd:"" help:"push, and the same through nginx with nchan, in one run."`
	Floor    floorScenario    `cmd:"" help:"attach, logins and push, and the same on a bare hub of the same libraries, in turns: the ratio."`
	OAuth    oauthScenario    `cmd:"" name:"oauth" help:"Whole logins: plain, with OpenID Connect's code flow, and with the device grant, in turns on the same nodes."`
	Options  optionsScenario  `cmd:"" name:"options" help:"Whole logins with each option of clients and nodes, in turns: what it costs beyond a plain one."`
	Devices  devicesScenario  `cmd:"" help:"Confirm to token of golang.org/x/oauth2's device flow, unchanged, with held polls and without, in one run."`
	Bare     bareCommand      `cmd:"" hidden:""`
}

// scenario is one command.
type scenario interface {
	measure(ctx context.Context, b *bench) ([]result, error)
}

// standardScenario runs a short form of all scenarios.
type standardScenario struct {
	Pages int `default:"10000" help:"Waiting pages."`
}

func (c *standardScenario) measure(ctx context.Context, b *bench) (all []result, err error) {
	for _, one := range []scenario{
		&attachScenario{Pages: c.Pages},
		&idleScenario{Pages: c.Pages, For: 40 * time.Second, TicketTTL: time.Hour},
		&pushScenario{Pages: c.Pages, Rate: 1000, For: 10 * time.Second},
		&loginsScenario{Count: 20000},
		&stormScenario{Pages: c.Pages},
		&nodesScenario{Counts: []int{1, 2, 4, 8}, Count: 5000},
	} {
		results, err := one.measure(ctx, b)
		if err != nil {
			return all, err
		}
		all = append(all, results...)
	}
	return all, nil
}

func main() {
	var cli commands
	k := kong.Parse(&cli, kong.Name("loginbench"),
		kong.Description("Loads a login hub and measures it. It talks only HTTP and WebSocket."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := cli.run(ctx, k.Selected().Target.Addr().Interface().(scenario))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loginbench:", err)
		os.Exit(1)
	}
}

// run measures and prints, including the results before an error.
func (b *bench) run(ctx context.Context, s scenario) (err error) {
	if b.files, err = raiseFileLimit(); err != nil {
		return fmt.Errorf("file limit: %w", err)
	}
	defer func() {
		if b.after != nil {
			b.after()
		}
	}()
	all, err := s.measure(ctx, b)
	if len(all) > 0 {
		if e := report(os.Stdout, all, b.JSON); err == nil {
			err = e
		}
	}
	return err
}
