/* A machine whose clock stands in 1970 and that has no IPv6, for a program that loads this with LD_PRELOAD:
 *
 *   cc -shared -fPIC -o old.so old.c
 *   LD_PRELOAD=$PWD/old.so mtx-sidecar serve
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed = (int)syscall(SYS_clock_gettime, clock, now);
	if (!failed && clock == CLOCK_REALTIME)
		now->tv_sec %= 86400;
	return failed;
}

int socket(int family, int type, int protocol)
{
	/* As Linux without the module ipv6 does. */
	if (family == AF_INET6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	return (int)syscall(SYS_socket, family, type, protocol);
}
