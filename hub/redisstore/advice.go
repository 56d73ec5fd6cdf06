package redisstore

import "strings"

const missingRight = "the Redis user lacks a right; give it the line in deploy/redis/users.acl"

// IsMissingRight reports whether the advice is to give the Redis user a right.
func IsMissingRight(err error) bool { return Advice(err) == missingRight }

// refusals lists errors that an operator can fix: of Redis, of proxies in front of it
// and of managed services. Each has a part of the error's text and the advice. The first
// match counts.
var refusals = []struct{ contains, advice string }{
	// https://help.aliyun.com/en/redis/support/usage-of-lua-scripts
	{"bad lua script for redis cluster", "Alibaba Cloud's proxy does not let scripts PUBLISH: set script_check_enable to 0 in the instance's parameters, " +
		"or connect to the cluster directly (its private endpoint, with ?cluster=true)"},
	{"eval not support for normal user", "Alibaba Cloud: upgrade the instance's minor version"},
	{"not allowed from script", "this Redis or its proxy does not let scripts PUBLISH: connect to Redis without the proxy, or use another service"},
	{"NOPERM", missingRight},
	{"The user executing the script can't", missingRight},
	{"WRONGPASS", "correct the user and the password in LOGINHUB_REDIS_URL"},
	{"NOAUTH", "LOGINHUB_REDIS_URL needs a user and a password"},
	{"invalid username-password", "correct the user and the password in LOGINHUB_REDIS_URL"},
	{"READONLY", "this server is a replica: name the master in LOGINHUB_REDIS_URL, or the Sentinels with ?master_name=, or add ?cluster=true"},
	{"cluster support disabled", "this Redis is not a Cluster: leave ?cluster=true out of LOGINHUB_REDIS_URL"},
	{"MOVED", "this server is one of a Cluster: add ?cluster=true to LOGINHUB_REDIS_URL"},
	{"NOREPLICAS", "Redis has fewer replicas than its min-replicas-to-write: repair them or lower it"},
	{"MISCONF", "Redis cannot write to its disk and refuses writes: look at its disk and its log"},
	{"OOM command not allowed", "Redis's memory is full: raise maxmemory, or wait until tickets have expired"},
	{"LOADING", "Redis is loading its data: wait until it is done"},
	{"CLUSTERDOWN", "the Cluster does not serve all slots: repair its masters"},
	{"MASTERDOWN", "this replica has lost its master: name the master in LOGINHUB_REDIS_URL"},
	{"unknown command", "this Redis, or its proxy, does not have the command, or its operator has renamed it: Redis 7 or later, or Valkey, is needed"},
	{"unknown subcommand", "this Redis, or its proxy, does not have the command: Redis 7 or later, or Valkey, is needed"},
}

// Advice returns what an operator can do about an error of Redis, or "" if that is not
// known.
func Advice(err error) string {
	if err == nil {
		return ""
	}
	for _, r := range refusals {
		if strings.Contains(err.Error(), r.contains) {
			return r.advice
		}
	}
	return ""
}
