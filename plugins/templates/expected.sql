-- 1: CustomerRegistered of customer/c-1, event e-1
INSERT INTO `customers` (`customer_id`, `name`, `email`, `changed_at`) VALUES ('c-1', 'Ada Lovelace', 'ada@example.org', TIMESTAMP'2026-01-31 12:00:00') ON DUPLICATE KEY UPDATE `name` = VALUES(`name`), `email` = VALUES(`email`), `changed_at` = VALUES(`changed_at`);
-- 2: CustomerRegistered of customer/c-2, event e-2
INSERT INTO `customers` (`customer_id`, `name`, `email`, `changed_at`) VALUES ('c-2', 'Grace O''Malley', NULL, TIMESTAMP'2026-01-31 12:00:01.25') ON DUPLICATE KEY UPDATE `name` = VALUES(`name`), `email` = VALUES(`email`), `changed_at` = VALUES(`changed_at`);
-- 3: OrderPlaced of customer/c-1, event e-3
UPDATE `customers` SET `orders` = `orders` + 1, `total_cents` = `total_cents` + 1250, `changed_at` = TIMESTAMP'2026-01-31 12:00:02' WHERE `customer_id` = 'c-1';
-- 4: CustomerRenamed of customer/c-1, event e-4
UPDATE `customers` SET `name` = 'Ada King', `changed_at` = TIMESTAMP'2026-01-31 12:00:03' WHERE `customer_id` = 'c-1';
-- 5: NewsletterSent of newsletter/7, event e-5
-- passed by: the manifest does not name this type
-- 6: CustomerRenamed of customer/c-2, event e-6
-- FAILED, rejected: the projector rejected the event as invalid: the event has no time
-- 7: CustomerForgotten of customer/c-2, event e-7
DELETE FROM `customers` WHERE `customer_id` = 'c-2';
