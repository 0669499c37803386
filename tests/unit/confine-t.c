#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ingest/frame.h"
#include "src/extract/confine.h"
#include "tests/tap.h"

#if defined(__SANITIZE_ADDRESS__)
#define SHADOWED 1
#else
#define SHADOWED 0
#endif

static const char *const nothing[] = { NULL }, *const usr[] = { "/usr/share", NULL };
static int spare;	/* a descriptor of the parent's */

/* What a confined process tries; each gives 0 when it was prevented. */
static int no_socket(void) { return socket(AF_INET, SOCK_STREAM, 0) >= 0; }
static int no_unix_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0) >= 0; }
static int no_file(void) { return open("/etc/passwd", O_RDONLY) >= 0; }
static int no_new_file(void) { return open("/tmp/confine-t.out", O_WRONLY | O_CREAT, 0600) >= 0; }
static int no_link(void) { return symlink("/etc/passwd", "/tmp/confine-t.link") == 0; }
static int no_removal(void) { return unlink("/tmp/confine-t.none") == 0 || errno != EPERM; }
static int no_program(void) { char *argv[] = { NULL }; execve("/bin/true", argv, argv); return errno != EPERM; }
static int no_kill(void) { return kill(getppid(), 0) == 0; }
static int no_trace(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0; }
static int no_spare(void) { return fcntl(spare, F_GETFD) >= 0; }

static int no_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static void *idle(void *arg)
{
	return arg;
}

static int no_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, idle, NULL) == 0;
}

static int no_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int no_memory(void)
{
	return mmap(NULL, EXTRACT_MEMORY + 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static int limits(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_CPU, &r) || r.rlim_cur > EXTRACT_CPU_S || r.rlim_max > EXTRACT_CPU_S + 1 ||
	       getrlimit(RLIMIT_CORE, &r) || r.rlim_max;
}

static int some_memory(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	p[4096] = 1;
	return munmap(p, 1 << 20);
}

/* Exit code of a confined child that runs fn; 200: it could not be confined. */
static int confined(int (*fn)(void), const char *const *readable)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		confine_early();
		_exit(confine_enter(0, readable) ? 200 : fn());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(void)
{
	static const struct {
		int (*fn)(void);
		const char *what;
	} tries[] = {
		{ some_memory, "memory can be had" }, { limits, "limits are set" },
		{ no_socket, "no socket" }, { no_unix_socket, "no socket of this machine" },
		{ no_file, "no file is read" }, { no_new_file, "no file is made" }, { no_link, "no link" },
		{ no_removal, "nothing is removed" }, { no_program, "no program is run" }, { no_fork, "no process" },
		{ no_thread, "no thread" }, { no_code, "no code" }, { no_kill, "no signal to another" },
		{ no_trace, "no tracing" }, { no_spare, "no descriptor but three" },
	};

	spare = open("/dev/null", O_RDONLY);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		is_int(confined(tries[i].fn, nothing), 0, tries[i].what);
		is_int(confined(tries[i].fn, usr), 0, "the same where a folder may be read");
	}
	if (SHADOWED)
		tap_skip(1, "AddressSanitizer needs the address space");
	else
		is_int(confined(no_memory, nothing), 0, "no more than its memory");
	ok(access("/tmp/confine-t.out", F_OK) && access("/tmp/confine-t.link", F_OK), "nothing is left behind");
	return tap_done();
}
