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

rules-in-english = جمله‌های قاعده‌ها به انگلیسی است.
finding-count-error = { $number } خطا
finding-count-warning = { $number } هشدار
finding-count-info = { $number } نکته

page-tagline = جای نرمال‌سازی دسته‌ای کجاست؟
page-skip = رفتن به نتیجه
page-copy = رونوشت
page-copied = رونوشت شد
page-selected = انتخاب شد
page-footer = نوشته‌ی placenorm { $version }. این صفحه یک فایل است و چیزی از شبکه نمی‌خواند.
page-again-label = دستوری که این اجرا را تکرار می‌کند
page-again = اجرای دوباره
