#include "config.h"

#include "src/extract/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "ingest/frame.h"

#if defined(__SANITIZE_ADDRESS__)
#define SHADOWED 1	/* AddressSanitizer reserves terabytes of address space */
#else
#define SHADOWED 0
#endif

void confine_early(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	syscall(SYS_close_range, 3u, ~0u, 0u);
}

static void limit(int what, rlim_t n)
{
	struct rlimit r;
	rlim_t hard = n + (what == RLIMIT_CPU);	/* beyond the soft limit comes SIGXCPU, which says why */

	if (getrlimit((__rlimit_resource_t)what, &r) || r.rlim_max > hard)
		r.rlim_max = hard;
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	setrlimit((__rlimit_resource_t)what, &r);
}

/* Only reading below the folders given.  False where the kernel has no Landlock. */
static bool landlock(const char *const *readable)
{
	struct landlock_ruleset_attr attr = {
		/* The rights of Landlock's first version: every later kernel knows them. */
		.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
	};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0u);
	bool done;

	if (rules < 0)
		return false;
	for (; *readable; readable++) {
		struct landlock_path_beneath_attr below = {
			.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
			.parent_fd = open(*readable, O_PATH | O_CLOEXEC),
		};

		if (below.parent_fd < 0)
			continue;
		syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0u);
		close(below.parent_fd);
	}
	done = !syscall(SYS_landlock_restrict_self, rules, 0u);
	close(rules);
	return done;
}

static int filter_calls(bool files)
{
	static const int allowed[] = {
		SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev),
		SCMP_SYS(close), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
		SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(futex),
		SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday),
		SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack), SCMP_SYS(exit), SCMP_SYS(exit_group),
		SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(sched_yield), SCMP_SYS(getrusage),
		SCMP_SYS(getrlimit), SCMP_SYS(sched_getaffinity), SCMP_SYS(restart_syscall),
	};
	static const int for_files[] = {
		SCMP_SYS(getdents64), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	};
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	pid_t self = getpid();
	int rc = f ? 0 : -ENOMEM;

	for (size_t i = 0; !rc && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	/* abort() */
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self, 0));
	/* getrlimit(), which may look at itself and change nothing */
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
				      SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
	/* Memory that cannot become code. */
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; !rc && files && i < sizeof(for_files) / sizeof(for_files[0]); i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, for_files[i], 0);
	if (!rc && files)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
	if (!rc)
		rc = seccomp_load(f);
	seccomp_release(f);
	return rc ? err_set(RAG_EUNSUP, "cannot confine the extractor: %s", strerror(-rc)) : RAG_OK;
}

int confine_enter(size_t mapped, const char *const *readable)
{
	bool files;

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, EXTRACT_CPU_S);
	limit(RLIMIT_NOFILE, 32);
	limit(RLIMIT_FSIZE, FRAME_HEAD + FRAME_MAX_TITLE + FRAME_MAX_MESSAGE + FRAME_MAX_ABOUT + FRAME_MAX_MARK_BYTES +
	      FRAME_MAX_TEXT);
	if (!SHADOWED)
		limit(RLIMIT_AS, EXTRACT_MEMORY + mapped);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set(RAG_EUNSUP, "cannot confine the extractor: %s", strerror(errno));
	files = *readable && landlock(readable);
	return filter_calls(files);
}
