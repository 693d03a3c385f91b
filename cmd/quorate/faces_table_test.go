package main

import "github.com/quorate/quorate/transfer"

// legs are of one payment between the accounts of a pass.
const (
	legsGRPC = `"legs":[{"bank":"north","account":"pay-{f}","direction":"DIRECTION_DEBIT","amountMinor":"1050","currency":"EUR"},` +
		`{"bank":"south","account":"shop-{f}","direction":"DIRECTION_CREDIT","amountMinor":"1050","currency":"EUR"}]`
	legsHTTP = `"legs":[{"bank":"north","account":"pay-{f}","direction":"debit","amount_minor":"1050","currency":"EUR"},` +
		`{"bank":"south","account":"shop-{f}","direction":"credit","amount_minor":"1050","currency":"EUR"}]`
)

// noBatches and noOperators say why HTTP lacks what machines alone do.
const (
	noBatches   = "HTTP is for people and for one transfer at a time: machines that have many speak gRPC"
	noOperators = "a part of what quorate cluster verify and quorate backup do, which nobody asks for by itself"
)

// operations is the table: one row for each operation, in an order in which they can be carried out.
var operations = []operation{
	{
		name: "openAccount", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.v1.AccountService/OpenAccount {"bank":"south","account":"new-{f}","currency":"EUR"}`, want: `"id":"new-{f}","currency":"EUR"`},
		rest: call{ask: `POST /v1/banks/south/accounts {"id":"new-{f}","currency":"EUR"}`, want: `"id":"new-{f}"`},
		cli:  call{ask: `account open south/new-{f} --currency EUR -o json`, want: `"id":"new-{f}"`},
	}, {
		name: "getAccount", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.AccountService/GetAccount {"bank":"south","account":"new-{f}"}`, want: `"id":"new-{f}"`},
		rest: call{ask: `GET /v1/banks/south/accounts/new-{f}`, want: `"id":"new-{f}"`},
		cli:  call{ask: `account get south/new-{f} -o json`, want: `"id":"new-{f}"`},
	}, {
		name: "listAccounts", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.AccountService/ListAccounts {"bank":"south","pageSize":1000}`, want: `"id":"shop-{f}"`},
		rest: call{ask: `GET /v1/banks/south/accounts?limit=1000`, want: `"id":"shop-{f}"`},
		cli:  call{ask: `account list south -q`, want: `shop-{f}`},
	}, {
		name: "submitTransfer", may: "submit", mayNot: "read",
		grpc: call{ask: `quorate.v1.TransferService/SubmitTransfer {"transfer":{"id":"{id:one}","reference":"r-{f}",` + legsGRPC + `}}`, want: `"id":"{id:one}".*"state":"TRANSFER_STATE_COMMITTED"`},
		rest: call{ask: `POST /v1/transfers {"id":"{id:one}","reference":"r-{f}",` + legsHTTP + `}`, want: `"id":"{id:one}".*"state":"committed"`},
		cli:  call{ask: `transfer create --id {id:one} --reference r-{f} --from north/pay-{f} --to south/shop-{f} --amount 10.50 --currency EUR -o json`, want: `"id":"{id:one}".*"state":"committed"`},
	}, {
		name: "submitTransfers", may: "submit", mayNot: "read",
		grpc: call{ask: `quorate.v1.TransferService/SubmitTransfers {"transfers":[{"id":"{id:two}",` + legsGRPC + `}]}`, want: `"id":"{id:two}".*"state":"TRANSFER_STATE_COMMITTED"`},
		rest: call{none: noBatches},
		cli: call{
			ask: `transfer import {dir}/{f}.csv -o json`, want: `"rows":1,"committed":1,`,
			file: "id,from_bank,from_account,to_bank,to_account,amount,currency\n{id:two},north,pay-{f},south,shop-{f},10.50,EUR\n",
		},
	}, {
		name: "streamTransfers", may: "submit", mayNot: "read",
		grpc: call{ask: `quorate.v1.TransferService/StreamTransfers {"transfers":[{"id":"{id:three}",` + legsGRPC + `}]}`, want: `"id":"{id:three}".*"state":"TRANSFER_STATE_COMMITTED"`},
		rest: call{none: noBatches},
		cli:  call{ask: `transfer create --id {id:three} --from north/pay-{f} --to south/shop-{f} --amount 10.50 --currency EUR -o jsonl`, want: `"id":"{id:three}","state":"committed"`},
	}, {
		name: "getTransfer", may: "read",
		grpc: call{ask: `quorate.v1.TransferService/GetTransfer {"id":"{id:one}"}`, want: `"reference":"r-{f}"`},
		rest: call{ask: `GET /v1/transfers/{id:one}`, want: `"reference":"r-{f}"`},
		cli:  call{ask: `transfer get {id:one} -o json`, want: `"reference":"r-{f}"`},
	}, {
		name: "listTransfers", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.TransferService/ListTransfers {"account":"shop-{f}","state":"TRANSFER_STATE_COMMITTED"}`, want: `"id":"{id:one}"`},
		rest: call{ask: `GET /v1/transfers?account=shop-{f}&state=committed`, want: `"id":"{id:one}"`},
		cli:  call{ask: `transfer list --account south/shop-{f} --state committed -o json`, want: `"id":"{id:one}"`},
	}, {
		name: "watchTransfers", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.TransferService/WatchTransfers {"fromBeginning":true,"account":"shop-{f}"}`, want: `"id":"{id:one}"`},
		rest: call{ask: `GET /v1/events?from=beginning&account=shop-{f}`, want: `event:transfer.committed.*"id":"{id:one}"`},
		cli:  call{ask: `transfer watch --from-beginning --account south/shop-{f} --count 1 -o jsonl`, want: `"id":"{id:one}"`},
	}, {
		name: "listInDoubt", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.TransferService/ListInDoubt {}`, want: `^{}$`},
		rest: call{ask: `GET /v1/in-doubt`, want: `"data":\[\]`},
		cli:  call{ask: `transfer in-doubt -o json`, want: `"data":\[\]`},
	}, {
		name: "captureTransfer", may: "submit", mayNot: "operate",
		grpc: call{ask: `quorate.v1.TransferService/CaptureTransfer {"id":"{id:captured}","amountsMinor":["200"]}`, want: `"state":"TRANSFER_STATE_COMMITTED".*"capturedMinor":\["200","200"\]`},
		rest: call{ask: `POST /v1/transfers/{id:captured}:capture {"amounts_minor":["200"]}`, want: `"state":"committed".*"captured_minor":\["200","200"\]`},
		cli:  call{ask: `transfer capture {id:captured} --amount 2.00 -o json`, want: `"state":"committed".*"captured_minor":\["200","200"\]`},
	}, {
		name: "voidTransfer", may: "submit", mayNot: "operate",
		grpc: call{ask: `quorate.v1.TransferService/VoidTransfer {"id":"{id:voided}"}`, want: `"state":"TRANSFER_STATE_ABORTED".*"code":"voided"`},
		rest: call{ask: `POST /v1/transfers/{id:voided}:void`, want: `"state":"aborted".*"code":"voided"`},
		cli:  call{ask: `transfer void {id:voided} -o json`, want: `"state":"aborted".*"code":"voided"`},
	}, {
		name: "cancelTransfer", may: "submit", mayNot: "operate",
		grpc: call{ask: `quorate.v1.TransferService/CancelTransfer {"id":"{id:lost}"}`, want: `"state":"TRANSFER_STATE_ABORTED".*"code":"cancelled"`},
		rest: call{ask: `POST /v1/transfers/{id:lost}:cancel`, want: `"state":"aborted".*"code":"cancelled"`},
		cli:  call{ask: `transfer cancel {id:lost} -o json`, want: `"state":"aborted".*"code":"cancelled"`},
	}, {
		name: "getStatement", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.AccountService/GetStatement {"bank":"south","account":"shop-{f}"}`, want: `"transferId":"{id:one}".*"balanceMinor":"1050"`},
		rest: call{ask: `GET /v1/banks/south/accounts/shop-{f}/entries`, want: `"transfer_id":"{id:one}".*"balance_minor":"1050"`},
		cli:  call{ask: `account statement south/shop-{f} -o json`, want: `"transfer_id":"{id:one}".*"balance_minor":"1050"`},
	}, {
		name: "listEntries", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.AccountService/ListEntries {"bank":"south","pageSize":1000}`, want: `"transferId":"{id:captured}","account":"shop-{f}"`},
		rest: call{ask: `GET /v1/banks/south/entries?limit=1000`, want: `"transfer_id":"{id:captured}","account":"shop-{f}"`},
		cli:  call{ask: `bank entries south -o json`, want: `"transfer_id":"{id:captured}","account":"shop-{f}"`},
	}, {
		name: "auditBank", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.v1.StatusService/AuditBank {"bank":"south"}`, want: `"currency":"EUR","postedMinor":"[1-9]`},
		rest: call{ask: `GET /v1/banks/south/audit`, want: `"currency":"EUR","posted_minor":"[1-9]`},
		cli:  call{ask: `bank audit south -o json`, want: `"currency":"EUR","posted_minor":"[1-9]`},
	}, {
		name: "freezeAccount", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.v1.AccountService/FreezeAccount {"bank":"south","account":"new-{f}"}`, want: `"status":"ACCOUNT_STATUS_FROZEN"`},
		rest: call{ask: `POST /v1/banks/south/accounts/new-{f}:freeze`, want: `"status":"frozen"`},
		cli:  call{ask: `account freeze south/new-{f} -o json`, want: `"status":"frozen"`},
	}, {
		name: "unfreezeAccount", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.v1.AccountService/UnfreezeAccount {"bank":"south","account":"new-{f}"}`, want: `"status":"ACCOUNT_STATUS_OPEN"`},
		rest: call{ask: `POST /v1/banks/south/accounts/new-{f}:unfreeze`, want: `"status":"open"`},
		cli:  call{ask: `account unfreeze south/new-{f} -o json`, want: `"status":"open"`},
	}, {
		name: "setAccountLimit", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.v1.AccountService/SetAccountLimit {"bank":"south","account":"new-{f}","overdraftMinor":"700"}`, want: `"overdraftMinor":"700"`},
		rest: call{ask: `POST /v1/banks/south/accounts/new-{f}:setLimit {"overdraft_minor":"700"}`, want: `"overdraft_minor":"700"`},
		cli:  call{ask: `account limit south/new-{f} --overdraft 7 --currency EUR -o json`, want: `"overdraft_minor":"700"`},
	}, {
		name: "closeAccount", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.v1.AccountService/CloseAccount {"bank":"south","account":"new-{f}"}`, want: `"status":"ACCOUNT_STATUS_CLOSED"`},
		rest: call{ask: `POST /v1/banks/south/accounts/new-{f}:close`, want: `"status":"closed"`},
		cli:  call{ask: `account close south/new-{f} -o json`, want: `"status":"closed"`},
	}, {
		name: "listBanks", may: "submit",
		grpc: call{ask: `quorate.v1.StatusService/ListBanks {}`, want: `"id":"north".*"id":"south"`},
		rest: call{ask: `GET /v1/banks`, want: `"id":"north".*"id":"south"`},
		cli:  call{ask: `bank list -o json`, want: `"id":"north".*"id":"south"`},
	}, {
		name: "getStatus", may: "submit",
		grpc: call{ask: `quorate.v1.StatusService/GetStatus {}`, want: `"group":"coordinator/0"`},
		rest: call{ask: `GET /v1/status`, want: `"group":"coordinator/0"`},
		cli:  call{ask: `status -o json`, want: `"group":"coordinator/0"`},
	}, {
		name: "listMembers", may: "read", mayNot: "submit",
		grpc: call{ask: `quorate.admin.v1.ClusterService/ListMembers {}`, want: `"node":"3"`},
		rest: call{ask: `GET /v1/cluster/members`, want: `"node":3`},
		cli:  call{ask: `cluster member list -o json`, want: `"node":3`},
	}, {
		name: "transferLeader", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.admin.v1.ClusterService/TransferLeader {"group":"bank/south","node":"{leader}"}`, want: `^{}$`},
		rest: call{ask: `POST /v1/cluster:transferLeader {"group":"bank/south","node":{leader}}`},
		cli:  call{ask: `cluster transfer-leader bank/south {leader} -q`, want: `1`},
	}, {
		name: "placeBank", may: "admin", mayNot: "operate", refused: transfer.ErrMembershipRefused, // it lives there already
		grpc: call{ask: `quorate.admin.v1.ClusterService/PlaceBank {"bank":"north","nodes":["1","2","3"]}`},
		rest: call{ask: `POST /v1/cluster:placeBank {"bank":"north","nodes":[1,2,3]}`},
		cli:  call{ask: `cluster place-bank north 1 2 3`},
	}, {
		name: "addMember", may: "admin", mayNot: "operate", refused: transfer.ErrMembershipRefused, // node 2 is there already
		grpc: call{ask: `quorate.admin.v1.ClusterService/AddMember {"node":"2","peer":"127.0.0.1:1","grpc":"127.0.0.1:2","http":"127.0.0.1:3"}`},
		rest: call{ask: `POST /v1/cluster:addMember {"node":2,"peer":"127.0.0.1:1","grpc":"127.0.0.1:2","http":"127.0.0.1:3"}`},
		cli:  call{ask: `cluster member add 2 --peer 127.0.0.1:1 --grpc 127.0.0.1:2 --http 127.0.0.1:3`},
	}, {
		name: "promoteMember", may: "admin", mayNot: "operate", refused: transfer.ErrMembershipRefused, // node 2 is no learner
		grpc: call{ask: `quorate.admin.v1.ClusterService/PromoteMember {"node":"2"}`},
		rest: call{ask: `POST /v1/cluster:promoteMember {"node":2}`},
		cli:  call{ask: `cluster member promote 2`},
	}, {
		name: "removeMember", may: "admin", mayNot: "operate", refused: transfer.ErrUnknownNode, // a fourth server would have to go, for ever
		grpc: call{ask: `quorate.admin.v1.ClusterService/RemoveMember {"node":"{node}"}`},
		rest: call{ask: `POST /v1/cluster:removeMember {"node":{node}}`},
		cli:  call{ask: `cluster member remove {node} --yes`},
	}, {
		name: "createToken", may: "admin", mayNot: "operate",
		grpc: call{ask: `quorate.admin.v1.TokenService/CreateToken {"name":"t-{f}","roles":["read"]}`, want: `"secret":"qt_`},
		rest: call{ask: `POST /v1/tokens {"name":"t-{f}","roles":["read"]}`, want: `"secret":"qt_`},
		cli:  call{ask: `token create t-{f} --role read -o json`, want: `"secret":"qt_`},
	}, {
		name: "listTokens", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.admin.v1.TokenService/ListTokens {}`, want: `"name":"t-{f}"`},
		rest: call{ask: `GET /v1/tokens`, want: `"name":"t-{f}"`},
		cli:  call{ask: `token list -o json`, want: `"name":"t-{f}"`},
	}, {
		name: "revokeToken", may: "admin", mayNot: "operate",
		grpc: call{ask: `quorate.admin.v1.TokenService/RevokeToken {"name":"t-{f}"}`, want: `^{}$`},
		rest: call{ask: `POST /v1/tokens/t-{f}:revoke`},
		cli:  call{ask: `token revoke t-{f} -q`, want: `admin`}, // what is left
	}, {
		name: "holdCommits", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.admin.v1.BackupService/HoldCommits {"bank":"north","hold":"{n}","duration":"5s"}`, want: `^{}$`},
		rest: call{none: noOperators},
		cli:  call{ask: `backup create {dir}/backup-{f} -o json`, want: `"cluster":"local"`, role: "admin"},
	}, {
		name: "findTransfers", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.admin.v1.VerifyService/FindTransfers {"bank":"north","hold":"{n}","transfers":[{"id":"AZIAAAAAcACAAAAAAAAAAQ==","fingerprint":"AZIAAAAAcACAAAAAAAAAAQ=="}]}`, want: `"found"`},
		rest: call{none: noOperators},
		cli:  call{ask: `cluster verify`, want: `consistent`},
	}, {
		name: "cutGroup", may: "admin", mayNot: "operate",
		grpc: call{ask: `quorate.admin.v1.BackupService/CutGroup {"group":"coordinator/0"}`, want: `"done":true`},
		rest: call{none: noOperators},
		cli:  call{ask: `backup create {dir}/again-{f} -o json`, want: `"cluster":"local"`},
	}, {
		name: "hashReplica", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.admin.v1.VerifyService/HashReplica {"group":"coordinator/0"}`, want: `"hash":"[1-9]`},
		rest: call{none: noOperators},
		cli:  call{ask: `cluster verify -o json`, want: `"consistent":true`},
	}, {
		name: "scanReplica", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.admin.v1.VerifyService/ScanReplica {"group":"coordinator/0"}`, want: `"recorded":"[1-9]`},
		rest: call{none: noOperators},
		cli:  call{ask: `cluster verify --scan`, want: `consistent`},
	}, {
		name: "examineGroup", may: "operate", mayNot: "read",
		grpc: call{ask: `quorate.admin.v1.VerifyService/ExamineGroup {"group":"coordinator/0"}`, want: `"index":"[1-9]`},
		rest: call{none: noOperators},
		cli:  call{ask: `cluster verify -o jsonl`, want: `"consistent":true`},
	},
}
