#!/usr/bin/env bash
# with-slurm.sh [--nodes N] [--cpus N] [--gpus N] [--local-disk DIR] COMMAND...
#
# Runs COMMAND beside a Slurm cluster that exists for it alone: a controller and N node daemons
# (default 2, of 4 CPUs each) in namespaces of their own on this machine.  Nothing of it is left when
# COMMAND ends.  The GPUs of a node (default none) are devices like /dev/null.  DIR is a disk of its
# own on each node; node1 shares its with the controller.  The partition "closed" is for the account
# "physics".  Needs root and Debian's slurmctld, slurmd, slurm-client, munge, libpmix-dev and
# iproute2; exits 77 with a line "SKIPPED: reason" where one of them is missing.
set -euo pipefail

skip() { echo "SKIPPED: $*"; exit 77; }

if [[ ${1-} != --inside ]]; then
    [[ $(id -u) == 0 ]] || skip "a throw-away Slurm cluster needs root."
    for program in slurmctld slurmd srun munged ip setpriv unshare; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null ||
            skip "$program is missing (launch/setup.sh --slurm installs it)."
    done
    spaces=(--mount --pid --net --uts --ipc --fork --kill-child --mount-proc)
    unshare "${spaces[@]}" true 2>/dev/null || skip "this root may not make namespaces."
    exec unshare "${spaces[@]}" bash "$0" --inside "$@"
fi
shift
PATH=$PATH:/usr/sbin:/sbin

nodes=2 cpus=4 gpus=0 local_disk=''
while (($#)); do
    case $1 in
        --nodes) nodes=$2; shift 2 ;;
        --cpus) cpus=$2; shift 2 ;;
        --gpus) gpus=$2; shift 2 ;;
        --local-disk) local_disk=$2; shift 2 ;;
        *) break ;;
    esac
done
(($#)) || { echo "with-slurm: no command given" >&2; exit 2; }

home=$(mktemp -d "${TMPDIR:-/tmp}/with-slurm.XXXXXX")
# The daemons write to their folders until they are gone.
# shellcheck disable=SC2317  # called by the trap
remove_cluster() {
    local file tries
    for file in "$home"/*.pid "$home/munge/pid"; do
        [[ ! -s $file ]] || kill -KILL "$(cat "$file")" 2>/dev/null || true
    done
    for ((tries = 0; tries < 100; ++tries)); do
        rm -rf "$home" 2>/dev/null && return
        sleep 0.1
    done
    echo "with-slurm: $home cannot be removed" >&2
}
trap remove_cluster EXIT
chmod 755 "$home"
mkdir "$home"/{state,munge,log}

# The network: a loopback device, with an address that name look-ups count as a real one.
ip link set lo up
ip address add 10.99.0.1/32 dev lo
hostname controller
names=''
for ((i = 1; i <= nodes; ++i)); do names+=" node$i"; done
{ cat /etc/hosts; echo "127.0.0.1 controller$names"; } >"$home/hosts"
mount --bind "$home/hosts" /etc/hosts

# slurmd looks for control groups, of the second version or of the first, where a bare root has none.
mount_control_groups() {
    mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null && [[ -s /sys/fs/cgroup/cgroup.controllers ]] && return
    ! mountpoint -q /sys/fs/cgroup || umount /sys/fs/cgroup
    mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd &&
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
}
mountpoint -q /sys/fs/cgroup || mount_control_groups || skip "slurmd wants control groups, and this root may not mount them."

# munge, which Slurm's programs trust each other by, with a key of its own.
head -c 128 /dev/urandom >"$home/munge/key"
chmod 400 "$home/munge/key"
chown -R munge: "$home/munge"
setpriv --reuid=munge --regid=munge --clear-groups munged --force \
    --key-file="$home/munge/key" --socket="$home/munge/socket" --pid-file="$home/munge/pid" \
    --log-file="$home/munge/log" --seed-file="$home/munge/seed"

export SLURM_CONF=$home/slurm.conf
cat >"$SLURM_CONF" <<CONF
ClusterName=throwaway
SlurmctldHost=controller(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$home/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool.%n
TmpFS=$home/tmp.%n
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.%n.pid
SlurmctldLogFile=$home/log/slurmctld
SlurmdLogFile=$home/log/slurmd.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
SlurmdTimeout=10
MpiDefault=none
SchedulerParameters=sched_interval=2,bf_interval=2
JobSubmitPlugins=lua
CONF
# Accounts are the business of a database that is not here; this says what it would.
cat >"$home/job_submit.lua" <<'LUA'
function slurm_job_submit(job, partitions, user)
    if job.partition == "closed" and job.account ~= "physics" then
        return slurm.ESLURM_INVALID_ACCOUNT
    end
    return slurm.SUCCESS
end
function slurm_job_modify(change, job, partitions, user) return slurm.SUCCESS end
LUA
gres=''
if ((gpus > 0)); then
    gres=Gres=gpu:$gpus
    echo GresTypes=gpu >>"$SLURM_CONF"
    for ((i = 0; i < gpus; ++i)); do mknod "$home/gpu$i" c 1 3; done # as /dev/null
    echo "NodeName=node[1-$nodes] Name=gpu Flags=nvidia_gpu_env File=$home/gpu[0-$((gpus - 1))]" >"$home/gres.conf"
fi
for ((i = 1; i <= nodes; ++i)); do
    mkdir "$home/spool.node$i" "$home/tmp.node$i"
    echo "NodeName=node$i NodeHostname=node$i NodeAddr=127.0.0.1 Port=$((17000 + i)) CPUs=$cpus RealMemory=1000 $gres State=UNKNOWN"
done >>"$SLURM_CONF"
echo "PartitionName=all Nodes=node[1-$nodes] Default=YES MaxTime=30 State=UP
PartitionName=closed Nodes=node[1-$nodes] MaxTime=30 State=UP" >>"$SLURM_CONF"

[[ $(srun --mpi=list 2>&1) == *pmix* ]] || skip "Slurm has no pmix plug-in."
slurmctld -c
for ((i = 1; i <= nodes; ++i)); do # each daemon believes in a host of its own
    disk=$local_disk
    ((i > 1)) || disk=''
    # shellcheck disable=SC2016
    unshare --uts --mount bash -c '
        hostname "$1"
        [[ -z $2 ]] || mount -t tmpfs tmpfs "$2"
        exec slurmd -N "$1"' _ "node$i" "$disk" || {
        tail -n 20 "$home"/log/* >&2
        echo "with-slurm: the daemon of node$i does not start" >&2
        exit 1
    }
done
ready=false
for ((tries = 0; tries < 900; ++tries)); do
    if [[ $(sinfo --noheader --partition=all --Node --format=%t 2>/dev/null | grep -c '^idle$') == "$nodes" ]]; then
        ready=true
        break
    fi
    sleep 0.2
done
if ! $ready; then
    tail -n 20 "$home"/log/* >&2
    echo "with-slurm: the nodes did not come up" >&2
    exit 1
fi

# Open MPI between the two "hosts" goes over the loopback device.
export OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
code=0
"$@" || code=$?
((code == 0)) || tail -n 20 "$home"/log/* >&2
exit "$code"
