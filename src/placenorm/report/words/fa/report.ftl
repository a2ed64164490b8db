# واژه‌هایی که همه‌ی صفحه‌ها دارند.
placement-none = بدون BN
placement-before-activation = قبل از تابع فعال‌ساز
placement-after-activation = بعد از تابع فعال‌ساز
placement-after-pool = بعد از pooling
placement-after-pool-before-activation = بعد از pooling و قبل از تابع فعال‌ساز
placement-as-is = همان‌طور که هست
outcome-holds = درست است
outcome-holds-only-if = درست است به شرطی که …
outcome-does-not-hold = درست نیست
outcome-undecided = نامشخص
